/** Where each model of a family stands in the graph: the newest on top, the champions' line of descent as its trunk. */
import type { Schema } from "src/api/client";

type Line = Schema<"ModelLine">;

export interface Place {
  digest: string;
  row: number;
  /** 0 is the trunk. */
  lane: number;
}

export interface Edge {
  child: Place;
  /** Not among the models that are shown: the edge runs out at the bottom. */
  parent: Place | null;
  /** From champion to champion. */
  trunk: boolean;
}

export interface Layout {
  places: Place[];
  edges: Edge[];
  lanes: number;
}

/** @param lines the newest first */
export function familyLayout(lines: Line[], champion: string | null | undefined): Layout {
  const byDigest = new Map(lines.map((line) => [line.digest, line]));
  const rowOf = new Map(lines.map((line, row) => [line.digest, row]));
  const trunk = descent(byDigest, champion);
  const places = new Map<string, Place>();
  const edges: { child: Place; parent: string | null }[] = [];
  // For each lane the row down to which an edge runs in it.
  const busyUntil: number[] = [];
  lines.forEach((line, row) => {
    const onTrunk = trunk.has(line.digest);
    const parentRow = line.parent === null ? undefined : (rowOf.get(line.parent) ?? lines.length);
    // A branch that leaves the trunk where its parent's part of it passes needs its lane in its own row only.
    const short = parentRow !== undefined && reaches(lines, trunk, row, parentRow);
    const lane = onTrunk ? 0 : free(busyUntil, row);
    if (lane > 0) {
      busyUntil[lane] = short || parentRow === undefined ? row : parentRow;
    }
    const place = { digest: line.digest, lane, row };
    places.set(line.digest, place);
    if (line.parent !== null) {
      edges.push({ child: place, parent: line.parent });
    }
  });
  return {
    places: [...places.values()],
    edges: edges.map(({ child, parent }) => ({
      child,
      parent: (parent !== null && places.get(parent)) || null,
      trunk: trunk.has(child.digest),
    })),
    lanes: 1 + Math.max(0, ...[...places.values()].map(({ lane }) => lane)),
  };
}

/** The champion and the models that it descends from. */
function descent(lines: Map<string, Line>, champion: string | null | undefined): Set<string> {
  const found = new Set<string>();
  for (let next = champion; next && lines.has(next) && !found.has(next); next = lines.get(next)!.parent) {
    found.add(next);
  }
  return found;
}

/** Whether no other model of the trunk stands between a row and its parent's, so that the trunk there is the parent's. */
function reaches(lines: Line[], trunk: Set<string>, row: number, parentRow: number): boolean {
  const parent = lines[parentRow];
  return (
    parent !== undefined &&
    trunk.has(parent.digest) &&
    lines.slice(row, parentRow).every(({ digest }) => !trunk.has(digest))
  );
}

function free(busyUntil: number[], row: number): number {
  let lane = 1;
  while ((busyUntil[lane] ?? -1) >= row) {
    lane += 1;
  }
  return lane;
}
