/** A game's positions, from what the endpoints tell: each step by what differs from the one before it. */
import type { Schema } from "src/api/client";

export type Step = Schema<"Step">;
export type Shape = Schema<"Shape">;

/** Content of every cell, by number: `""` empty, `m2` a marker, `c2` territory, else a stack's rings from the bottom. */
export type Cells = readonly string[];

export interface Stack {
  kind: "stack";
  /** Seats from the bottom to the top. */
  rings: number[];
  controller: number;
  /** Rings of the controller, counted down from the top. */
  cap: number;
}

export type Content = { kind: "empty" } | { kind: "marker"; seat: number } | { kind: "territory"; seat: number } | Stack;

/** The position after `ply` moves. */
export function cellsAt(shape: Shape, steps: readonly Step[], ply: number): Cells {
  const cells = new Array<string>(shape.cells.length).fill("");
  for (const { changes } of steps.slice(0, ply + 1)) {
    for (const [cell, content] of changes) {
      cells[cell] = content;
    }
  }
  return cells;
}

export function contentOf(text: string): Content {
  if (text === "") {
    return { kind: "empty" };
  }
  const seat = Number(text[1]);
  if (text.startsWith("m")) {
    return { kind: "marker", seat };
  }
  if (text.startsWith("c")) {
    return { kind: "territory", seat };
  }
  const rings = [...text].map(Number);
  const controller = rings.at(-1)!;
  const other = rings.findLastIndex((ring) => ring !== controller);
  return { cap: rings.length - 1 - other, controller, kind: "stack", rings };
}

/** What a screen reader says of a cell. */
export function told(shape: Shape, cell: number, text: string): string {
  const place = nameOf(shape, cell);
  const content = contentOf(text);
  switch (content.kind) {
    case "empty":
      return `${place}, empty`;
    case "marker":
      return `${place}, marker of seat ${content.seat}`;
    case "territory":
      return `${place}, territory of seat ${content.seat}`;
    case "stack": {
      const { cap, controller, rings } = content;
      if (rings.length === 1) {
        return `${place}, one ring of seat ${controller}`;
      }
      return `${place}, stack of ${rings.length} of seat ${controller}, cap ${cap}, from the bottom ${rings.join(" ")}`;
    }
  }
}

/** A cell as the rules write it: `3,4`. */
export const nameOf = (shape: Shape, cell: number): string => shape.cells[cell]!.join(",");

/** The number of a cell by its name; undefined where the board has none of that name. */
export const cellNamed = (shape: Shape, name: string): number | undefined => {
  const found = shape.cells.findIndex((at) => at.join(",") === name);
  return found < 0 ? undefined : found;
};
