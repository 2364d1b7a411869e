/** What the champion thinks of every position of a game, asked for in parts: the part around the present ply first. */
import { useQueries } from "@tanstack/react-query";
import { useEffect } from "react";

import { type Schema, api, dataOf } from "src/api/client";
import { PATIENT, notYet } from "src/api/patient";

export type Judgement = Schema<"Judgement">;

/** Positions of one question. */
const PART = 32;

export interface Judgements {
  at: (ply: number) => Judgement | undefined;
  /** By ply; holes where nothing is known yet. */
  known: readonly (Judgement | undefined)[];
  waitsFor: string | undefined;
  error: Error | null;
}

export function useJudgements(game: Schema<"Replay">, ply: number): Judgements {
  const count = game.steps.length;
  const parts = Math.ceil(count / PART);
  const wanted = Math.floor(ply / PART);
  // The present part, then the others from the nearest on, one after the other.
  const order = [...Array(parts).keys()].sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted));
  const questions = useQueries({
    combine: (found) => found,
    queries: [...Array(parts).keys()].map((part) => {
      const first = part * PART;
      const plies = [...Array(Math.min(PART, count - first)).keys()].map((index) => first + index);
      return {
        enabled: part === wanted,
        queryFn: () =>
          dataOf(
            api.POST("/api/positions", {
              body: { moves: game.moves, pie_rule: game.pie_rule, plies, simulations: 0, variant: game.shape.variant },
            }),
          ),
        queryKey: ["judged", game.shape.variant, game.pie_rule, game.name, game.moves.length, part],
        staleTime: Infinity,
        ...PATIENT,
      };
    }),
  });
  const next = order.find((part) => questions[part]!.data === undefined);
  const present = questions[wanted];
  useNext(questions, next, present?.data !== undefined);
  const known = questions.flatMap(({ data }, part): (Judgement | undefined)[] =>
    data ?? new Array<undefined>(Math.min(PART, count - part * PART)).fill(undefined),
  );
  return {
    at: (at) => known[at],
    error: present?.error ?? null,
    known,
    waitsFor: present?.isFetching === true && notYet(present.failureReason) ? present.failureReason.message : undefined,
  };
}

/** Ask for one further part a second, once the present one is there. */
function useNext(questions: readonly { refetch: () => unknown; isFetching: boolean; isError: boolean }[], next: number | undefined, ready: boolean) {
  const question = next === undefined ? undefined : questions[next];
  const idle = question !== undefined && !question.isFetching && !question.isError;
  const refetch = question?.refetch;
  useEffect(() => {
    if (!ready || !idle || refetch === undefined) {
      return undefined;
    }
    const timer = setTimeout(() => refetch(), 1000);
    return () => clearTimeout(timer);
  }, [ready, idle, refetch, next]);
}
