import type { Schema } from "src/api/client";

/** Simulations that are offered besides the rated number. */
export const DEFAULT_STRENGTHS = [1, 8, 32, 128, 512] as const;

const BASELINES: Record<string, string> = {
  heuristic: "heuristic, one move ahead",
  "heuristic-search": "heuristic with a search",
  random: "random moves",
};

export function opponentName({ champion, elo, generation, spec }: Schema<"Opponent">): string {
  const name = BASELINES[spec] ?? `${champion ? "champion" : "earlier champion"}, generation ${generation ?? "?"}`;
  return elo === null ? name : `${name} (${Math.round(elo)} Elo)`;
}

/** Who sits in a seat, in few words. */
export const seatedName = (spec: string): string =>
  spec === "person" ? "you" : (BASELINES[spec] ?? `model ${spec.slice(0, 8)}`);
