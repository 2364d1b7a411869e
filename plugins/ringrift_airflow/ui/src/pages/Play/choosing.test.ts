import { describe, expect, it } from "vitest";

import { type Choice, chosenBy, open, pick } from "src/pages/Play/choosing";

const choice = (move: string, cells: number[], shown: number[] = []): Choice => ({
  cells,
  kind: move.split(":")[0]!,
  move,
  says: move,
  shown,
});

const MOVES = [choice("MV:a", [0, 3]), choice("MV:b", [0, 4]), choice("MV:c", [4, 0]), choice("CP:d", [0, 9], [5])];
const PLACES = [choice("PL:1", [2]), choice("PL:2", [2]), choice("SP", [])];
const RECOVERIES = [choice("RL1:a", [1, 2, 7]), choice("RL1:b", [1, 2, 8]), choice("RL2", [1, 2], [2, 3, 4]), choice("SR", [])];
const LINES = [choice("LP:a", [], [1, 2, 3]), choice("LO:b", [], [1, 2]), choice("LP:c", [], [3, 4, 5])];

describe("choosing a move on the board", () => {
  it("begins with the cells that lead on", () => {
    expect([...open(MOVES, []).targets].sort()).toEqual([0, 4]);
    expect([...open(MOVES, [0]).targets].sort()).toEqual([3, 4, 9]);
    expect(open(MOVES, [0]).fitting.map(({ move }) => move)).toEqual(["MV:a", "MV:b", "CP:d"]);
  });

  it("ends with the only move that fits, all cells pointed at", () => {
    expect(chosenBy(MOVES, [0])).toBeUndefined();
    expect(chosenBy(MOVES, [4])).toBeUndefined();
    expect(chosenBy(MOVES, [0, 9])?.move).toBe("CP:d");
    expect(chosenBy(PLACES, [2])).toBeUndefined();
    expect(chosenBy(RECOVERIES, [1, 2])).toBeUndefined();
    expect(chosenBy(RECOVERIES, [1, 2, 8])?.move).toBe("RL1:b");
    // What no cell names is never played by pointing.
    expect(chosenBy([choice("SC", [])], [])).toBeUndefined();
    expect(chosenBy(LINES, [5])).toBeUndefined();
  });

  it("begins anew at a cell that begins another move, and forgets at any other", () => {
    expect(pick(MOVES, [0], 4)).toEqual([0, 4]);
    expect(pick(MOVES, [4], 3)).toEqual([]);
    expect(pick(MOVES, [0], 7)).toEqual([]);
    expect(pick(MOVES, [0], 0)).toEqual([]);
    expect(pick(RECOVERIES, [1], 1)).toEqual([]);
    expect(pick(MOVES, [4], 0)).toEqual([4, 0]);
  });

  it("narrows lines and regions down to those that have all cells pointed at", () => {
    expect([...open(LINES, []).targets].sort()).toEqual([1, 2, 3, 4, 5]);
    expect(open(LINES, [3]).fitting.map(({ move }) => move)).toEqual(["LP:a", "LP:c"]);
    expect(open(LINES, [3, 1]).fitting.map(({ move }) => move)).toEqual(["LP:a"]);
    expect(pick(LINES, [4], 1)).toEqual([1]);
  });
});
