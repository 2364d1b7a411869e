import { type Schema, api, dataOf } from "src/api/client";
import type { Variant } from "src/pages/Games/variants";

/** Simulations that are offered besides the rated number. */
export const DEFAULT_STRENGTHS = [1, 8, 32, 128, 512] as const;

/** The question whom a variant can be played against. */
export const opponentsOf = (variant: Variant) => ({
  queryFn: () => dataOf(api.GET("/api/play/opponents", { params: { query: { variant } } })),
  queryKey: ["opponents", variant],
  staleTime: 60_000,
});

const BASELINES: Record<string, string> = {
  heuristic: "heuristic, one move ahead",
  "heuristic-search": "heuristic with a search",
  random: "random moves",
};

export function opponentName({ champion, elo, generation, spec }: Schema<"Opponent">): string {
  const name = BASELINES[spec] ?? `${champion ? "champion" : "earlier champion"}, generation ${generation ?? "?"}`;
  return elo === null ? name : `${name} (${Math.round(elo)} Elo)`;
}

/** Who sits in a seat, in few words; `known` are the opponents of the variant. */
export function seatedName(spec: string, known: readonly Schema<"Opponent">[] = []): string {
  const one = known.find((each) => each.spec === spec);
  return one === undefined ? (BASELINES[spec] ?? `model ${spec.slice(0, 8)}`) : opponentName({ ...one, elo: null });
}
