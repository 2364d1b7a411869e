/** The endpoints of the plugin, typed by their OpenAPI: `schema.d.ts` is made by `npm run generate`. */
import { useQuery } from "@tanstack/react-query";
import createClient from "openapi-fetch";

import type { components, paths } from "src/api/schema";

/** A record of the contract by its name: `Schema<"LoopState">`. */
export type Schema<Name extends keyof components["schemas"]> = components["schemas"][Name];

/** An answer that is none: what the endpoint said, or that nothing answered (status 0). */
export class Failure extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Below the same address as Airflow's page, which may be served below a path. */
const baseUrl = new URL("ringrift", document.baseURI).href;

export const api = createClient<paths>({ baseUrl, credentials: "same-origin" });

interface Answer<Data> {
  data?: Data;
  error?: unknown;
  response: Response;
}

/** The data of an answer; throws a Failure in the endpoint's own words. */
export async function dataOf<Data>(asked: Promise<Answer<Data>>): Promise<Data> {
  let answer: Answer<Data>;
  try {
    answer = await asked;
  } catch {
    throw new Failure(0, "Airflow's API server does not answer.");
  }
  if (answer.response.ok && answer.data !== undefined) {
    return answer.data;
  }
  throw new Failure(answer.response.status, said(answer.error) ?? answer.response.statusText);
}

function said(error: unknown): string | undefined {
  const detail = typeof error === "object" && error !== null && "detail" in error ? error.detail : error;
  if (typeof detail === "string") {
    return detail;
  }
  // FastAPI's list of what is wrong with a question.
  if (Array.isArray(detail)) {
    return detail.map((each: { loc?: unknown[]; msg?: string }) => `${each.loc?.at(-1)}: ${each.msg}`).join("; ");
  }
  return undefined;
}

/**
 * What an endpoint says, asked again every `everyMs` as long as the page is seen.
 *
 * @param key names the question; two places with the same key share one request
 * @param ask a call of `api`
 * @param everyMs at least 1000; leave it out to ask once
 */
export function useLive<Data>(key: readonly unknown[], ask: () => Promise<Answer<Data>>, everyMs?: number) {
  return useQuery<Data, Error>({
    queryFn: () => dataOf(ask()),
    queryKey: key,
    refetchInterval: everyMs === undefined ? false : Math.max(1000, everyMs),
    refetchIntervalInBackground: false,
    placeholderData: (before) => before,
  });
}
