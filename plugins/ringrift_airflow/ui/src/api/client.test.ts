import { expect, test } from "vitest";

import { Failure, dataOf } from "src/api/client";

const answer = (status: number, error: unknown) =>
  Promise.resolve({ error, response: new Response(null, { status, statusText: "Somehow" }) });

test("an error says what the endpoint said", async () => {
  await expect(dataOf(answer(503, { detail: "the ledger is away" }))).rejects.toEqual(
    new Failure(503, "the ledger is away"),
  );
});

test("FastAPI's list of complaints is one sentence", async () => {
  const detail = [
    { loc: ["body", "why"], msg: "String should have at least 1 character" },
    { loc: ["body", "share"], msg: "Input should be less than or equal to 1" },
  ];
  await expect(dataOf(answer(422, { detail }))).rejects.toThrow(
    "why: String should have at least 1 character; share: Input should be less than or equal to 1",
  );
});

test("an answer without words has its status", async () => {
  await expect(dataOf(answer(500, undefined))).rejects.toEqual(new Failure(500, "Somehow"));
});

test("a server that is away is status 0", async () => {
  await expect(dataOf(Promise.reject(new TypeError("Failed to fetch")))).rejects.toMatchObject({ status: 0 });
});
