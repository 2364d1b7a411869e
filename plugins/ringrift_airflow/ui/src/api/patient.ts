/** Questions that need the rules engine or a search: they may have to wait, and say for what. */
import { type UseQueryOptions, useQuery } from "@tanstack/react-query";

import { Failure } from "src/api/client";

export const notYet = (error: unknown): error is Failure => error instanceof Failure && error.status === 503;

/** Ask again every two seconds while the answer is that it is not ready, for ten minutes at most. */
export const PATIENT = {
  retry: (failures: number, error: Error) => (notYet(error) ? failures < 300 : failures < 1 && !(error instanceof Failure && error.status < 500)),
  retryDelay: (_failures: number, error: Error) => (notYet(error) ? 2000 : 500),
};

/** As `useQuery`; `waitsFor` says what is waited for, while it is. */
export function usePatient<Data>(options: UseQueryOptions<Data, Error>) {
  const found = useQuery<Data, Error>({ staleTime: Infinity, ...PATIENT, ...options });
  return { ...found, waitsFor: found.isFetching && notYet(found.failureReason) ? found.failureReason.message : undefined };
}

/** Ask until it is ready. */
export async function patiently<Data>(ask: () => Promise<Data>, waits?: (why: string) => void): Promise<Data> {
  for (let failures = 0; ; failures += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!notYet(error) || failures >= 300) {
        throw error;
      }
      waits?.(error.message);
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
  }
}
