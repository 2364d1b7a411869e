/** One game of a person's, as the page plays it: what the server said last, and how far the board has shown it. */
import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";

import { Failure, type Schema, api, dataOf } from "src/api/client";
import { patiently } from "src/api/patient";

type Table = Schema<"Table">;
type Step = Schema<"Step">;

/** How long each position is seen before the next one, ms. */
const SHOWN_MS = 550;
const HASTE_MS = 60;
/** When the opponents are asked for again after a server that did not answer, ms. */
const AGAIN_MS = 5000;

export interface Game {
  table: Table | undefined;
  /** Every position so far. */
  steps: readonly Step[];
  /** Plies of the position that is shown. */
  ply: number;
  /** Whether the position came by the move before it, so that it is to be seen moving. */
  animates: boolean;
  /** Whether a request is under way or positions are still to be shown. */
  busy: boolean;
  /** Whether an opponent chooses. */
  thinks: boolean;
  /** What is waited for, beyond the opponent's thinking. */
  waitsFor: string | undefined;
  error: Error | null;
  hint: { ply: number; judgement: Schema<"Judgement"> } | undefined;
  hinting: boolean;
  show: (ply: number) => void;
  play: (move: string) => void;
  takeBack: () => void;
  resign: () => void;
  /** Remove the game for good, and go on with `then`. */
  remove: (then: () => void) => void;
  askHint: () => void;
}

export function useGame(id: string): Game {
  const [table, setTable] = useState<Table>();
  const [steps, setSteps] = useState<readonly Step[]>([]);
  const [ply, setPly] = useState(0);
  const [animates, setAnimates] = useState(false);
  const [asking, setAsking] = useState(false);
  const [waitsFor, setWaitsFor] = useState<string>();
  const [error, setError] = useState<Error | null>(null);
  const [hint, setHint] = useState<Game["hint"]>();
  const [hinting, setHinting] = useState(false);
  // Whether the person looks at an earlier position: then the board waits for them.
  const follows = useRef(true);
  const there = useRef(true);
  const queries = useQueryClient();
  useEffect(() => {
    there.current = true;
    return () => {
      there.current = false;
    };
  }, []);

  const take = useCallback((answer: Table) => {
    setTable(answer);
    // The first step told is the one at `known`, as it differs from the one before it.
    setSteps((before) => [...before.slice(0, answer.known), ...answer.steps]);
    setPly((at) => Math.min(at, answer.ply));
  }, []);

  /** Ask the server and take what it says; a question that is out of step is answered by a look. */
  const ask = useCallback(
    async (question: () => Promise<unknown>): Promise<Table | undefined> => {
      setAsking(true);
      setError(null);
      try {
        const answer = (await patiently(question, (why) => there.current && setWaitsFor(why))) as Table;
        take(answer);
        void queries.invalidateQueries({ queryKey: ["play"] });
        return answer;
      } catch (failure) {
        setError(failure instanceof Error ? failure : new Error(String(failure)));
        return undefined;
      } finally {
        setAsking(false);
        setWaitsFor(undefined);
      }
    },
    [queries, take],
  );

  const path = { game_id: id };
  const asked = useRef<string | undefined>(undefined);
  useEffect(() => {
    if (asked.current === id) {
      return;
    }
    asked.current = id;
    void ask(() => dataOf(api.GET("/api/play/{game_id}", { params: { path: { game_id: id } } }))).then((first) =>
      // The game is opened where it stands; only what comes is shown move by move.
      setPly(first?.ply ?? 0),
    );
  }, [ask, id]);

  const known = table?.ply ?? 0;
  const waits = table !== undefined && table.result === null && table.question === null;
  // The opponents play on while it is not the person's turn.
  useEffect(() => {
    if (waits && !asking && error === null) {
      void ask(() =>
        dataOf(api.POST("/api/play/{game_id}/reply", { body: { ply: known }, params: { path: { game_id: id }, query: { known } } })),
      );
    }
  }, [waits, asking, error, known, id, ask]);

  // A server that is started again has forgotten nothing: the question is asked again by itself.
  const passes = error instanceof Failure && (error.status === 0 || error.status >= 500);
  useEffect(() => {
    if (!passes || !waits) {
      return undefined;
    }
    const timer = setTimeout(() => setError(null), AGAIN_MS);
    return () => clearTimeout(timer);
  }, [passes, waits, error]);

  // What has come is shown one position after the other.
  const last = steps.length - 1;
  useEffect(() => {
    if (!follows.current || ply >= last) {
      return undefined;
    }
    const wait = ply === 0 || still() ? 0 : last - ply > 40 ? HASTE_MS : SHOWN_MS;
    const timer = setTimeout(() => {
      setAnimates(true);
      setPly(ply + 1);
    }, wait);
    return () => clearTimeout(timer);
  }, [ply, last]);

  const show = (to: number) => {
    follows.current = to >= last;
    setAnimates(false);
    setPly(Math.min(to, last));
  };

  return {
    animates,
    askHint: () => {
      setHinting(true);
      setError(null);
      patiently(() => dataOf(api.POST("/api/play/{game_id}/hint", { body: { ply: known }, params: { path } })))
        .then((judgement) => {
          setHint({ judgement, ply: known });
          setTable((before) => before && { ...before, hints: before.hints + 1 });
        })
        .catch((failure: unknown) => setError(failure instanceof Error ? failure : new Error(String(failure))))
        .finally(() => setHinting(false));
    },
    busy: asking || (follows.current && ply < last),
    error,
    hint,
    hinting,
    play: (move) => {
      follows.current = true;
      void ask(() => dataOf(api.POST("/api/play/{game_id}/moves", { body: { move, ply: known }, params: { path, query: { known } } })));
    },
    ply: Math.max(0, Math.min(ply, last)),
    remove: (then) => {
      api
        .DELETE("/api/play/{game_id}", { params: { path } })
        .then(({ response }) => {
          if (!response.ok) {
            throw new Failure(response.status, response.statusText);
          }
          void queries.invalidateQueries({ queryKey: ["play"] });
          then();
        })
        .catch((failure: unknown) => setError(failure instanceof Error ? failure : new Error(String(failure))));
    },
    resign: () => void ask(() => dataOf(api.POST("/api/play/{game_id}/resign", { params: { path } }))),
    show,
    steps,
    table,
    takeBack: () => {
      setHint(undefined);
      follows.current = true;
      void ask(() => dataOf(api.POST("/api/play/{game_id}/take-back", { body: { ply: known }, params: { path } }))).then(() => setAnimates(false));
    },
    thinks: waits && asking,
    waitsFor: waitsFor === "still thinking" ? undefined : waitsFor,
  };
}

const still = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
