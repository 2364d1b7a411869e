/** From cells that a person points at to one of the legal moves. */
import type { Schema } from "src/api/client";

export type Choice = Schema<"Choice">;

export interface Choosing {
  /** Moves that fit what was pointed at so far. */
  fitting: readonly Choice[];
  /** Cells that lead on. */
  targets: ReadonlySet<number>;
}

/** What is open after these cells were pointed at. */
export function open(choices: readonly Choice[], picked: readonly number[]): Choosing {
  const fitting = choices.filter((choice) => fits(choice, picked));
  const targets = new Set<number>();
  for (const choice of fitting) {
    const next = choice.cells[picked.length];
    if (next !== undefined) {
      targets.add(next);
    } else if (choice.cells.length === 0) {
      choice.shown.forEach((cell) => targets.add(cell));
    }
  }
  return { fitting, targets };
}

/** The cells after one more was pointed at: it leads on, begins anew, or leads nowhere. */
export function pick(choices: readonly Choice[], picked: readonly number[], cell: number): number[] {
  if (picked.at(-1) === cell && !open(choices, picked).targets.has(cell)) {
    return picked.slice(0, -1);
  }
  const onward = [...picked, cell];
  if (choices.some((choice) => fits(choice, onward))) {
    return onward;
  }
  return choices.some((choice) => fits(choice, [cell])) ? [cell] : [];
}

/** Whether a move begins with these cells; one about a line or a region, whether it has them all. */
function fits({ cells, shown }: Choice, picked: readonly number[]): boolean {
  if (cells.length === 0 && shown.length > 0) {
    return picked.every((cell) => shown.includes(cell));
  }
  return picked.every((cell, index) => cells[index] === cell);
}

/** The move that is chosen by the cells alone: the only one that fits, with all its cells pointed at. */
export function chosenBy(choices: readonly Choice[], picked: readonly number[]): Choice | undefined {
  const { fitting } = open(choices, picked);
  const [only] = fitting;
  return fitting.length === 1 && only !== undefined && only.cells.length > 0 && only.cells.length === picked.length ? only : undefined;
}
