import { Box } from "@chakra-ui/react";
import { type KeyboardEvent, useLayoutEffect, useRef, useState } from "react";

import type { Schema } from "src/api/client";
import { clock, counted, signed, whole } from "src/components/time";

type Lineage = Schema<"Lineage">;

/** A part of a model's history. */
export const PARTS = ["start", "games", "training", "model", "regression", "champion", "decision"] as const;
export type Part = (typeof PARTS)[number];

interface Node {
  part: Part;
  title: string;
  lines: string[];
  tone: "good" | "bad" | "warn" | "open" | "calm";
  /** Column and row, when it runs from left to right. */
  at: [number, number];
}

interface Props {
  lineage: Lineage;
  selected: Part;
  onSelect: (part: Part) => void;
}

const [WIDTH, HEIGHT, GAP_X, GAP_Y] = [148, 74, 34, 18];
const EDGES: [Part, Part][] = [
  ["games", "training"],
  ["start", "training"],
  ["training", "model"],
  ["model", "regression"],
  ["model", "champion"],
  ["regression", "decision"],
  ["champion", "decision"],
];
const STROKES = { good: "green-fg", bad: "red-fg", warn: "orange-fg", open: "border-emphasized", calm: "blue-fg" };
const paint = (name: string) => `var(--chakra-colors-${name})`;

/**
 * How a model came about and what became of it, as a graph: games and weights, training, model, gates, decision. Each
 * node is a button that shows its figures below; arrow keys go along.
 */
export const LineageGraph = ({ lineage, onSelect, selected }: Props) => {
  const frame = useRef<HTMLDivElement>(null);
  const [upright, setUpright] = useState(false);
  useLayoutEffect(() => {
    const element = frame.current!;
    const measure = () => setUpright(element.clientWidth < 720);
    measure();
    const watcher = new ResizeObserver(measure);
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);
  const nodes = nodesOf(lineage);
  const parts = nodes.map(({ part }) => part);
  const edges: [Part, Part][] = parts.includes("training") ? EDGES : [["start", "model"], ...EDGES];
  // Columns without a node take no room. Upright, columns are rows: two nodes side by side, one alone in the middle.
  const taken = [...new Set(nodes.map(({ at }) => at[0]))].sort();
  const place = ({ at: [column, row] }: Node): [number, number] => {
    const alone = nodes.filter(({ at }) => at[0] === column).length === 1;
    const along = taken.indexOf(column);
    return upright
      ? [(alone ? 0.5 : row) * (WIDTH + GAP_Y), along * (HEIGHT + GAP_X)]
      : [along * (WIDTH + GAP_X), (alone ? 0.5 : row) * (HEIGHT + GAP_Y)];
  };
  const columns = taken.length;
  const size = upright
    ? [2 * WIDTH + GAP_Y, columns * (HEIGHT + GAP_X) - GAP_X]
    : [columns * (WIDTH + GAP_X) - GAP_X, 2 * HEIGHT + GAP_Y];
  const walk = (event: KeyboardEvent<SVGSVGElement>) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const own = [...event.currentTarget.querySelectorAll<SVGGElement>("[role=button]")];
    const to = step === undefined ? undefined : own[own.indexOf(document.activeElement as never) + step];
    if (to !== undefined) {
      event.preventDefault();
      to.focus();
    }
  };
  return (
    <Box ref={frame}>
      <svg
        aria-label={`How generation ${lineage.model.generation} came about`}
        onKeyDown={walk}
        role="group"
        style={{ display: "block", margin: "0 auto", maxWidth: size[0]! + 4, overflow: "visible", width: "100%" }}
        viewBox={`-2 -2 ${size[0]! + 4} ${size[1]! + 4}`}
      >
        <g aria-hidden fill="none" stroke={paint("border-emphasized")} strokeWidth={1.5}>
          {edges.filter((edge) => edge.every((part) => parts.includes(part))).map(([from, to]) => (
            <path
              d={link(place(nodes[parts.indexOf(from)]!), place(nodes[parts.indexOf(to)]!), upright)}
              key={`${from} ${to}`}
            />
          ))}
        </g>
        {nodes.map((node) => (
          <NodeBox
            key={node.part}
            node={node}
            onSelect={() => onSelect(node.part)}
            place={place(node)}
            selected={node.part === selected}
          />
        ))}
      </svg>
    </Box>
  );
};

function link([x1, y1]: [number, number], [x2, y2]: [number, number], upright: boolean): string {
  if (upright) {
    const [a, b, c, d] = [x1 + WIDTH / 2, y1 + HEIGHT, x2 + WIDTH / 2, y2];
    return `M ${a} ${b} C ${a} ${(b + d) / 2} ${c} ${(b + d) / 2} ${c} ${d}`;
  }
  const [a, b, c, d] = [x1 + WIDTH, y1 + HEIGHT / 2, x2, y2 + HEIGHT / 2];
  return `M ${a} ${b} C ${(a + c) / 2} ${b} ${(a + c) / 2} ${d} ${c} ${d}`;
}

interface BoxProps {
  node: Node;
  onSelect: () => void;
  place: [number, number];
  selected: boolean;
}

const NodeBox = ({ node, onSelect, place: [left, top], selected }: BoxProps) => (
  <g
    aria-label={[node.title, ...node.lines].join(", ")}
    aria-pressed={selected}
    className="ringrift-node"
    onClick={onSelect}
    onKeyDown={(event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        onSelect();
      }
    }}
    role="button"
    style={{ cursor: "pointer" }}
    tabIndex={0}
    transform={`translate(${left} ${top})`}
  >
    <rect
      fill={selected ? paint("bg-emphasized") : paint("bg-subtle")}
      height={HEIGHT}
      rx={8}
      stroke={paint(STROKES[node.tone])}
      strokeDasharray={node.tone === "open" ? "5 4" : undefined}
      strokeWidth={selected ? 2.5 : 1.5}
      width={WIDTH}
    />
    <text fill={paint("fg")} style={{ fontSize: 14, fontWeight: 600 }} x={12} y={24}>
      {node.title}
    </text>
    {node.lines.map((line, index) => (
      // eslint-disable-next-line react/no-array-index-key -- the lines of a node never change places
      <text fill={paint("fg-muted")} key={index} style={{ fontSize: 12 }} x={12} y={44 + 17 * index}>
        {line.length > 22 ? `${line.slice(0, 21)}…` : line}
      </text>
    ))}
  </g>
);

function nodesOf(lineage: Lineage): Node[] {
  const { decisions, model, training, window } = lineage;
  const nodes: Node[] = [];
  if (window !== null) {
    nodes.push({
      at: [0, 0],
      lines: [`${whole(window.new_games)} new`, `${whole(window.games)} in the window`],
      part: "games",
      title: "Games",
      tone: "calm",
    });
  }
  nodes.push({
    at: [0, window === null ? 0 : 1],
    lines:
      lineage.origin !== null
        ? [`from ${lineage.origin.source}`, counted(lineage.origin.trainings, "training")]
        : lineage.start === null
        ? ["random"]
        : [parentOf(lineage), lineage.start_variant === model.variant ? "" : (lineage.start_variant ?? "not known")],
    part: "start",
    title: lineage.origin === null ? "Start weights" : "Imported",
    tone: "calm",
  });
  if (training !== null) {
    const steps = training.steps === null ? training.state : counted(training.steps, "step");
    const loss = training.validation === null ? "" : `loss ${training.validation.total.toFixed(2)}`;
    nodes.push({
      at: [1, 0],
      lines: [steps, loss],
      part: "training",
      title: "Training",
      tone: training.overfit_alarm ? "warn" : training.state === "failed" ? "bad" : "calm",
    });
  }
  const rated = model.elo === null ? "not rated" : `${whole(model.elo)} Elo`;
  nodes.push({
    at: [2, 0],
    lines: [model.digest.slice(0, 12), rated],
    part: "model",
    title: `Generation ${model.generation}`,
    tone: model.state === "champion" ? "good" : model.state === "rolled back" ? "bad" : "calm",
  });
  nodes.push(gate(lineage, "regression", "Six tests", 0), gate(lineage, "champion", "Champion gate", 1));
  const last = decisions.at(-1);
  nodes.push({
    at: [4, 0],
    lines: last === undefined ? ["none yet"] : [clock(last.at), words(last)],
    part: "decision",
    title: last === undefined ? "Decision" : TITLES[last.status]!,
    tone: last === undefined ? "open" : TONES[last.status]!,
  });
  return nodes.map((node) => ({ ...node, lines: node.lines.filter((line) => line !== "") }));
}

export const TITLES: Record<string, string> = {
  promoted: "Promoted",
  rejected: "Rejected",
  rolled_back: "Champion again",
  replaced: "Replaced",
  taken_back: "Rolled back",
};
const TONES: Record<string, Node["tone"]> = {
  promoted: "good",
  rejected: "warn",
  rolled_back: "good",
  replaced: "calm",
  taken_back: "bad",
};

const words = (step: Schema<"PointerStep">) =>
  step.reign !== null ? `as champion ${step.reign}` : step.other === null ? "" : `by ${step.other.slice(0, 8)}`;

function parentOf({ ancestors, start }: Lineage): string {
  const parent = ancestors.find(({ digest }) => digest === start);
  return parent === undefined ? start!.slice(0, 12) : `generation ${parent.generation}`;
}

function gate({ verdicts }: Lineage, part: "regression" | "champion", title: string, row: number): Node {
  const last = verdicts.filter(({ gate: name }) => name === part).at(-1);
  if (last === undefined) {
    return { at: [3, row], lines: ["not held"], part, title, tone: "open" };
  }
  const passed = last.tests.filter(({ passed: ok }) => ok).length;
  const figure = part === "regression" ? `${passed} of ${last.tests.length}` : gain(last);
  const word = last.passed ? "passed" : last.undecided ? "undecided" : "failed";
  return { at: [3, row], lines: [word, figure], part, title, tone: last.passed ? "good" : last.undecided ? "open" : "warn" };
}

const gain = ({ gain: elo, games }: Schema<"Verdict">) =>
  elo === null ? "no champion then" : `${signed(elo)} Elo, ${counted(games, "game")}`;
