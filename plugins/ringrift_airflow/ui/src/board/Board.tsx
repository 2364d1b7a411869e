/**
 * A board with one position: square or hexagonal, two to four seats.
 *
 * It shows and lets one point; what may be pointed at, and what that means, its owner says. The arrow keys go from cell
 * to cell, Enter and Space choose.
 */
import { Box, Flex } from "@chakra-ui/react";
import { type CSSProperties, type KeyboardEvent, memo, useEffect, useId, useMemo, useRef, useState } from "react";

import { Pile } from "src/board/Pile";
import { type Box as Area, type Geometry, type Point, geometryOf, neighbour } from "src/board/geometry";
import { type Cells, type Shape, contentOf, nameOf, told } from "src/board/position";
import { SeatSign, Sign, colorName, colorOf } from "src/board/signs";
import style from "src/board/board.css?inline";

/** The move that led to the position, for its effect to be seen. */
export interface LastMove {
  /** Another value for each move. */
  key: string | number;
  path: readonly number[];
  /** The position before it. */
  before: Cells;
  /** Whether to show it moving; else it is only marked. */
  animate: boolean;
}

interface Props {
  shape: Shape;
  cells: Cells;
  /** What it shows, for screen readers. */
  label: string;
  last?: LastMove;
  /** Cells that may be chosen now. */
  targets?: ReadonlySet<number>;
  /** Cells chosen so far. */
  chosen?: readonly number[];
  /** Cells that what is being looked at is about: a line, a region, an arrow's ends. */
  shown?: ReadonlySet<number>;
  onPick?: (cell: number) => void;
}

/** Pixels of a cell below which a board is scrolled rather than shrunk. */
const LEAST_PX = 27;
const MOST_PX = 76;

export const Board = ({ cells, chosen = [], label, last, onPick, shape, shown, targets }: Props) => {
  const geometry = useMemo(() => geometryOf(shape), [shape]);
  const [focus, setFocus] = useState(() => middle(geometry));
  const [hovered, setHovered] = useState<number>();
  const [focused, setFocused] = useState(false);
  const drawing = useRef<SVGSVGElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const id = useId();
  const { box, centers, edges, outline } = geometry;
  const goOn = (event: KeyboardEvent) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      onPick?.(focus);
      return;
    }
    const next = neighbour(centers, focus, event.key);
    if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      event.stopPropagation();
    }
    if (next !== focus) {
      setFocus(next);
      drawing.current?.querySelector<SVGGElement>(`[data-cell="${next}"]`)?.focus();
    }
  };
  const about = last?.path.at(-1) ?? focus;
  useEffect(() => {
    // Where a board is wider than the page, what has just happened is in the middle.
    const [view, x] = [frame.current, (centers[about]!.x - box.left) / box.width];
    view?.scrollTo?.({ left: x * view.scrollWidth - view.clientWidth / 2 });
    // eslint-disable-next-line react-hooks/exhaustive-deps -- not when a cell gets the focus: the browser sees to that
  }, [last?.key, shape]);
  const looked = hovered ?? (focused ? focus : undefined);
  const path = last?.path ?? [];
  const from = path.length > 1 ? path[0] : undefined;
  const changed = last === undefined ? undefined : new Set(cells.flatMap((text, cell) => (text === last.before[cell] ? [] : [cell])));
  const landing = last === undefined ? undefined : landingOf(path, cells, last.before);
  return (
    <Box maxWidth="100%" overflow="auto" ref={frame}>
      <style>{style}</style>
      <Box
        // The whole board and the buttons below it are to be seen at once.
        maxWidth={`min(${Math.round(box.width * MOST_PX)}px, calc(68vh * ${(box.width / box.height).toFixed(3)}))`}
        minWidth={`${Math.round(box.width * LEAST_PX)}px`}
        mx="auto"
        onMouseLeave={() => setHovered(undefined)}
        onMouseOver={(event) => setHovered(cellOf(event.target))}
        position="relative"
      >
      <svg
        aria-label={label}
        className="rr-board"
        ref={drawing}
        role="group"
        viewBox={`${box.left} ${box.top} ${box.width} ${box.height}`}
        onBlur={() => setFocused(false)}
        onFocus={() => setFocused(true)}
        onKeyDown={goOn}
      >
        <Patterns id={id} />
        {edges.map(({ at, left, text }, index) => (
          <text aria-hidden className={left ? "rr-edge rr-left" : "rr-edge"} key={index} x={at.x} y={at.y}>
            {text}
          </text>
        ))}
        {cells.map((text, cell) => (
          <Cell
            cell={cell}
            center={centers[cell]!}
            changed={changed?.has(cell) ?? false}
            chosen={chosen.includes(cell)}
            focusable={cell === focus}
            key={cell}
            label={told(shape, cell, text)}
            outline={outline}
            patterns={id}
            pick={onPick}
            setFocus={setFocus}
            shown={shown?.has(cell) ?? false}
            target={targets?.has(cell) ?? false}
            text={text}
          />
        ))}
        {/* Above all cells: a cell that is drawn later would cover half of an edge. */}
        {[...(shown ?? [])].map((cell) => (
          <Edge at={centers[cell]!} className="rr-edge-shown" key={`shown-${cell}`} outline={outline} />
        ))}
        {chosen.map((cell) => (
          <Edge at={centers[cell]!} className="rr-edge-chosen" key={`chosen-${cell}`} outline={outline} />
        ))}
        <Edge at={centers[focus]!} className="rr-edge-focus" outline={outline} />
        <g pointerEvents="none">
          {[...(targets ?? [])]
            .filter((cell) => contentOf(cells[cell]!).kind === "stack")
            .map((cell) => (
              <circle className="rr-target-stack" cx={centers[cell]!.x} cy={centers[cell]!.y} key={cell} r={0.46} />
            ))}
        </g>
        {last !== undefined && <Trace geometry={geometry} path={path.slice(0, 3)} />}
        {/* Pieces above all cells, so that a tall pile covers the cell behind it. */}
        <g pointerEvents="none">
          {last?.animate &&
            [...(changed ?? [])].map((cell) =>
              cell === from ? undefined : <Ghost center={centers[cell]!} key={`${last.key}-${cell}`} text={last.before[cell]!} />,
            )}
          {order(cells, centers).map((cell) => {
            const moves = last?.animate === true && cell === landing;
            const start = moves ? (from === undefined || from === cell ? undefined : centers[from]) : undefined;
            return (
              <Piece
                center={centers[cell]!}
                drop={moves && start === undefined}
                key={moves ? `${last.key}-${cell}` : cell}
                start={start}
                text={cells[cell]!}
              />
            );
          })}
        </g>
        {/* What is to be chosen lies above the pieces. */}
        <g pointerEvents="none">
          {[...(targets ?? [])]
            .filter((cell) => contentOf(cells[cell]!).kind !== "stack")
            .map((cell) => (
              <circle className="rr-target" cx={centers[cell]!.x} cy={centers[cell]!.y} key={cell} r={0.13} />
            ))}
        </g>
      </svg>
      {looked !== undefined && <Details at={centers[looked]!} box={box} place={nameOf(shape, looked)} text={cells[looked]!} />}
      </Box>
    </Box>
  );
};

const cellOf = (element: EventTarget): number | undefined => {
  const found = element instanceof Element ? element.closest("[data-cell]")?.getAttribute("data-cell") : undefined;
  return found === null || found === undefined ? undefined : Number(found);
};

/** The rings of a stack from the top down, beside it: what a low cell is too small to show. */
const Details = ({ at, box, place, text }: { at: Point; box: Area; place: string; text: string }) => {
  const content = contentOf(text);
  if (content.kind !== "stack" || content.rings.length < 2) {
    return undefined;
  }
  const { cap, controller, rings } = content;
  const [left, top] = [(at.x - box.left) / box.width, (at.y - box.top) / box.height];
  return (
    <Box
      bg="bg.panel"
      borderRadius="md"
      borderWidth="1px"
      boxShadow="md"
      className="rr-details"
      data-testid="stack-details"
      fontSize="xs"
      left={left < 0.5 ? `${100 * left + 60 / box.width}%` : undefined}
      pointerEvents="none"
      position="absolute"
      px={2}
      py={1.5}
      right={left < 0.5 ? undefined : `${100 * (1 - left) + 60 / box.width}%`}
      role="tooltip"
      top={top < 0.5 ? `${100 * top}%` : undefined}
      bottom={top < 0.5 ? undefined : `${100 * (1 - top)}%`}
      zIndex={2}
    >
      <Box fontWeight="semibold" whiteSpace="nowrap">
        {place}: {rings.length} rings, cap {cap}
      </Box>
      <Box color="fg.muted" whiteSpace="nowrap">
        {colorName(controller)} controls it. From the top:
      </Box>
      <Flex gap={1} maxWidth="9rem" mt={1} wrap="wrap">
        {rings.toReversed().map((seat, index) => (
          <SeatSign key={index} seat={seat} size={13} />
        ))}
      </Flex>
    </Box>
  );
};

const Edge = ({ at, className, outline }: { at: Point; className: string; outline: string }) => (
  <polygon className={className} pointerEvents="none" points={outline} transform={`translate(${at.x} ${at.y})`} />
);

/** Where the keyboard begins. */
function middle({ box, centers }: Geometry): number {
  const far = centers.map(({ x, y }) => Math.hypot(x - box.left - box.width / 2, y - box.top - box.height / 2));
  return far.indexOf(Math.min(...far));
}

/** The cell on which the moved stack stands now: the last of the path that holds one that was not there. */
function landingOf(path: readonly number[], cells: Cells, before: Cells): number | undefined {
  return path.findLast((cell) => contentOf(cells[cell]!).kind === "stack" && cells[cell] !== before[cell]);
}

/** Back to front. */
function order(cells: Cells, centers: Geometry["centers"]): number[] {
  return [...cells.keys()].filter((cell) => cells[cell] !== "").sort((a, b) => centers[a]!.y - centers[b]!.y);
}

interface CellProps {
  cell: number;
  center: Point;
  changed: boolean;
  chosen: boolean;
  focusable: boolean;
  label: string;
  outline: string;
  patterns: string;
  pick?: (cell: number) => void;
  setFocus: (cell: number) => void;
  shown: boolean;
  target: boolean;
  text: string;
}

const Cell = memo(({ cell, center, changed, chosen, focusable, label, outline, patterns, pick, setFocus, shown, target, text }: CellProps) => {
  const content = contentOf(text);
  const states = [changed && "rr-changed", chosen && "rr-chosen", shown && "rr-shown", target && "rr-possible", content.kind === "territory" && "rr-owned"].filter(Boolean);
  const more = [chosen && "chosen", target && "can be chosen", changed && "changed by the last move"].filter(Boolean);
  return (
    <g
      aria-label={[label, ...more].join(", ")}
      className={["rr-cell", ...states].join(" ")}
      data-cell={cell}
      data-content={text}
      role={pick === undefined ? "img" : "button"}
      tabIndex={focusable ? 0 : -1}
      transform={`translate(${center.x} ${center.y})`}
      onClick={() => {
        setFocus(cell);
        pick?.(cell);
      }}
      onFocus={() => setFocus(cell)}
    >
      <polygon className="rr-ground" points={outline} />
      {content.kind === "territory" && (
        <>
          <polygon fill={colorOf(content.seat)} fillOpacity={0.42} points={outline} />
          <polygon fill={`url(#${patterns}-${content.seat})`} points={outline} />
        </>
      )}
      <polygon className="rr-outline" points={outline} />
    </g>
  );
});

const Piece = memo(
  ({ center, drop, start, text }: { center: Point; drop: boolean; start?: Point; text: string }) => {
    const way = start === undefined ? undefined : { "--rr-x": `${start.x - center.x}px`, "--rr-y": `${start.y - center.y}px` };
    return (
      <g transform={`translate(${center.x} ${center.y})`}>
        <g className={start !== undefined ? "rr-travel" : drop ? "rr-drop" : undefined} style={way as CSSProperties}>
          <What text={text} />
        </g>
      </g>
    );
  },
);

const What = ({ text }: { text: string }) => {
  const content = contentOf(text);
  if (content.kind === "marker") {
    return <Sign className="rr-marker" seat={content.seat} size={0.17} />;
  }
  if (content.kind !== "stack") {
    return undefined;
  }
  const { controller, rings } = content;
  return (
    <>
      <Pile rings={rings} />
      {rings.length > 1 && (
        <g transform="translate(0.3 0.3)">
          <circle className="rr-badge" r={0.17} stroke={colorOf(controller)} />
          <text className="rr-height">{rings.length}</text>
        </g>
      )}
    </>
  );
};

/** What was there before, on its way out. */
const Ghost = ({ center, text }: { center: Point; text: string }) => (
  <g className="rr-ghost" transform={`translate(${center.x} ${center.y})`}>
    <What text={text} />
  </g>
);

/** The way of the last move. */
const Trace = ({ geometry: { centers }, path }: { geometry: Geometry; path: readonly number[] }) => {
  if (path.length < 2) {
    return undefined;
  }
  const points = path.map((cell) => `${centers[cell]!.x},${centers[cell]!.y}`).join(" ");
  return <polyline className="rr-trace" pointerEvents="none" points={points} />;
};

/** Territory is told apart by its pattern as well as by its color. */
const Patterns = ({ id }: { id: string }) => (
  <defs>
    <pattern height="0.2" id={`${id}-1`} patternTransform="rotate(45)" patternUnits="userSpaceOnUse" width="0.2">
      <line className="rr-pattern" x1="0" x2="0" y1="0" y2="0.2" />
    </pattern>
    <pattern height="0.22" id={`${id}-2`} patternUnits="userSpaceOnUse" width="0.22">
      <circle className="rr-dot" cx="0.06" cy="0.06" r="0.035" />
    </pattern>
    <pattern height="0.2" id={`${id}-3`} patternTransform="rotate(-45)" patternUnits="userSpaceOnUse" width="0.2">
      <line className="rr-pattern" x1="0" x2="0" y1="0" y2="0.2" />
    </pattern>
    <pattern height="0.22" id={`${id}-4`} patternUnits="userSpaceOnUse" width="0.22">
      <path className="rr-pattern" d="M0 0 H0.22 M0 0 V0.22" fill="none" />
    </pattern>
  </defs>
);
