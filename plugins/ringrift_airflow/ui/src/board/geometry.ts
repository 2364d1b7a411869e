/** Where a board's cells lie in the drawing: the distance between two neighbours is 1. */
import type { Shape } from "src/board/position";

export interface Point {
  x: number;
  y: number;
}

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export interface Geometry {
  centers: Point[];
  /** Outline of a cell around its center, as an SVG polygon's points. */
  outline: string;
  box: Box;
  /** Names at the edge: the x of columns or the y of rows, with their place. */
  edges: { text: string; at: Point; /** Whether the text ends there. */ left?: boolean }[];
}

const ROOT3 = Math.sqrt(3);
const MARGIN = 0.62;
/** For the names at the edge of a hexagonal board. */
const HEX_MARGIN = 1.15;

export function geometryOf(shape: Shape): Geometry {
  const centers = shape.cells.map(([x, y]) => (shape.hexagonal ? { x: x + y / 2, y: (y * ROOT3) / 2 } : { x, y }));
  const [xs, ys] = [centers.map(({ x }) => x), centers.map(({ y }) => y)];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const margin = shape.hexagonal ? HEX_MARGIN : MARGIN + 0.28;
  const box = {
    height: bottom - top + 2 * margin,
    left: left - margin,
    top: top - margin,
    width: right - left + 2 * margin,
  };
  return { box, centers, edges: shape.hexagonal ? hexEdges(shape, centers) : squareEdges(shape), outline: outlineOf(shape) };
}

function outlineOf(shape: Shape): string {
  if (!shape.hexagonal) {
    return "-0.5,-0.5 0.5,-0.5 0.5,0.5 -0.5,0.5";
  }
  const radius = 1 / ROOT3;
  return [0, 1, 2, 3, 4, 5]
    .map((corner) => {
      const angle = (Math.PI / 3) * corner + Math.PI / 6;
      return `${(radius * Math.cos(angle)).toFixed(4)},${(radius * Math.sin(angle)).toFixed(4)}`;
    })
    .join(" ");
}

function squareEdges(shape: Shape): Geometry["edges"] {
  const side = Math.max(...shape.cells.map(([x]) => x)) + 1;
  return [...Array(side).keys()].flatMap((number) => [
    { at: { x: number, y: -0.72 }, text: String(number) },
    { at: { x: -0.72, y: number }, text: String(number) },
  ]);
}

/** The y of each row before its first cell, and the x of each aslant line below its last one. */
function hexEdges(shape: Shape, centers: Point[]): Geometry["edges"] {
  const first = new Map<number, Point>();
  shape.cells.forEach(([, y], cell) => {
    const center = centers[cell]!;
    const known = first.get(y);
    if (known === undefined || center.x < known.x) {
      first.set(y, center);
    }
  });
  const lowest = new Map<number, Point>();
  shape.cells.forEach(([x], cell) => {
    const center = centers[cell]!;
    if (center.y > (lowest.get(x)?.y ?? -Infinity)) {
      lowest.set(x, center);
    }
  });
  return [
    ...[...first].map(([y, { x, y: height }]) => ({ at: { x: x - 0.6, y: height }, left: true, text: `y ${y}` })),
    ...[...lowest].map(([x, { x: left, y }]) => ({ at: { x: left + 0.36, y: y + 0.63 }, text: `x ${x}` })),
  ];
}

/** The cell that an arrow key leads to from a cell: the nearest one on that side, straight ahead before aslant. */
export function neighbour(centers: readonly Point[], from: number, key: string): number {
  const way = { ArrowDown: { x: 0, y: 1 }, ArrowLeft: { x: -1, y: 0 }, ArrowRight: { x: 1, y: 0 }, ArrowUp: { x: 0, y: -1 } }[key];
  if (way === undefined) {
    return from;
  }
  const here = centers[from]!;
  let [best, least] = [from, Infinity];
  centers.forEach((there, cell) => {
    const [dx, dy] = [there.x - here.x, there.y - here.y];
    const ahead = dx * way.x + dy * way.y;
    const aside = Math.abs(dx * way.y) + Math.abs(dy * way.x);
    if (ahead > 0.3 && ahead + 2 * aside < least) {
      [best, least] = [cell, ahead + 2 * aside];
    }
  });
  return best;
}
