import { expect, test } from "vitest";

import { span } from "src/components/time";

test.each([
  [40, "40 s"],
  [60, "1 min"],
  [3 * 3600 + 12 * 60, "3 h 12 min"],
  [2 * 86_400 + 3 * 3600 + 59, "2 d 3 h"],
  [-5, "0 s"],
])("%d seconds are %s", (seconds, text) => {
  expect(span(seconds)).toBe(text);
});
