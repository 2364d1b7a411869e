import { expect, test } from "vitest";

import { familyLayout } from "src/pages/Models/familyLayout";
import { line } from "src/pages/Models/sample";

const lanes = (...args: Parameters<typeof familyLayout>) =>
  Object.fromEntries(familyLayout(...args).places.map(({ digest, lane }) => [digest, lane]));

test("champions and what they descend from are the trunk, all else branches off", () => {
  const family = [line(4, 3), line(3, 1), line(2, 1), line(1, null)];
  const layout = familyLayout(family, "m3");
  expect(lanes(family, "m3")).toEqual({ m4: 1, m3: 0, m2: 1, m1: 0 });
  expect(layout.edges.map(({ child, parent, trunk }) => [child.digest, parent?.digest, trunk])).toEqual([
    ["m4", "m3", false],
    ["m3", "m1", true],
    ["m2", "m1", false],
  ]);
});

test("an edge that passes other champions has a lane to itself", () => {
  const family = [line(5, 1), line(4, 3), line(3, 2), line(2, 1), line(1, null)];
  expect(lanes(family, "m3")).toEqual({ m5: 1, m4: 2, m3: 0, m2: 0, m1: 0 });
});

test("a parent that is not shown leaves an open end", () => {
  const { edges } = familyLayout([line(9, 8)], "m9");
  expect(edges).toEqual([{ child: { digest: "m9", lane: 0, row: 0 }, parent: null, trunk: true }]);
});

test("a row that names itself as its parent ends the descent", () => {
  expect(lanes([line(1, 1)], "m1")).toEqual({ m1: 0 });
});
