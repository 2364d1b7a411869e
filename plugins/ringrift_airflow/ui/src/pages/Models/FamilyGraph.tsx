import { Box, Flex, Text } from "@chakra-ui/react";
import { type KeyboardEvent, useEffect, useRef } from "react";

import type { Schema } from "src/api/client";
import { Figure } from "src/components/Figure";
import { StateBadge } from "src/components/StateBadge";
import { signed, span } from "src/components/time";
import { type Edge, type Place, familyLayout } from "src/pages/Models/familyLayout";

type Line = Schema<"ModelLine">;

interface Props {
  lines: Line[];
  champion: string | null;
  now: number;
  selected: string | undefined;
  onSelect: (digest: string) => void;
}

const ROW = 60;
const LANE = 18;
const LEFT = 14;
export const Z95 = 1.96;

const COLORS: Record<string, string> = {
  champion: "green.fg",
  former: "blue.fg",
  "rolled back": "red.fg",
  rejected: "orange.fg",
  candidate: "purple.fg",
};
const color = (state: string) => `var(--chakra-colors-${(COLORS[state] ?? "gray.fg").replace(".", "-")})`;

/** Whether a press here has changed the address: Airflow then mounts the page anew, and the focus is to stay. */
let pressed = false;

/**
 * The family of a variant's models: a line of descent from champion to champion, and what branched off. Each row is a
 * button; arrow keys go from one to the next.
 */
export const FamilyGraph = ({ champion, lines, now, onSelect, selected }: Props) => {
  const { edges, lanes, places } = familyLayout(lines, champion);
  const states = new Map(lines.map((line) => [line.digest, line.state]));
  const width = LEFT + lanes * LANE;
  const list = useRef<HTMLOListElement>(null);
  useEffect(() => {
    if (pressed) {
      pressed = false;
      list.current?.querySelector<HTMLElement>("[aria-pressed=true]")?.focus({ preventScroll: true });
    }
  }, [selected]);
  const choose = (digest: string) => {
    pressed = true;
    onSelect(digest);
  };
  return (
    <Box position="relative">
      <svg
        aria-hidden
        height={lines.length * ROW}
        style={{ left: 0, pointerEvents: "none", position: "absolute", top: 0 }}
        width={width}
      >
        {edges.map((edge) => (
          <path
            d={path(edge, lines.length)}
            fill="none"
            key={edge.child.digest}
            stroke={edge.trunk ? "var(--chakra-colors-blue-fg)" : "var(--chakra-colors-border-emphasized)"}
            strokeDasharray={edge.parent === null ? "3 4" : undefined}
            strokeWidth={edge.trunk ? 2.5 : 1.5}
          />
        ))}
        {places.map((place) => (
          <Node key={place.digest} place={place} state={states.get(place.digest) ?? ""} />
        ))}
      </svg>
      <Box aria-label="Models, the newest first" as="ol" listStyleType="none" onKeyDown={walk} ref={list}>
        {lines.map((line) => (
          <Box as="li" height={`${ROW}px`} key={line.digest}>
            <Row
              line={line}
              now={now}
              onSelect={choose}
              parent={lines.find(({ digest }) => digest === line.parent)}
              selected={line.digest === selected}
              width={width}
            />
          </Box>
        ))}
      </Box>
    </Box>
  );
};

const x = (lane: number) => LEFT + lane * LANE;
const y = (row: number) => row * ROW + ROW / 2;

/** From a model down to its parent; a branch bends into the lane of its parent at once where that is free. */
function path({ child, parent }: Edge, rows: number): string {
  const [x1, y1] = [x(child.lane), y(child.row)];
  if (parent === null) {
    return `M ${x1} ${y1} V ${rows * ROW}`;
  }
  const [x2, y2] = [x(parent.lane), y(parent.row)];
  if (x1 === x2) {
    return `M ${x1} ${y1} V ${y2}`;
  }
  const bend = Math.min(ROW, y2 - y1);
  return `M ${x1} ${y1} C ${x1} ${y1 + bend / 2} ${x2} ${y1 + bend / 3} ${x2} ${y1 + bend} V ${y2}`;
}

const Node = ({ place, state }: { place: Place; state: string }) => {
  const isOpen = state === "candidate" || state === "rejected";
  return (
    <>
      {state === "champion" && (
        <circle cx={x(place.lane)} cy={y(place.row)} fill="none" r={10} stroke={color(state)} strokeWidth={2} />
      )}
      <circle
        cx={x(place.lane)}
        cy={y(place.row)}
        fill={isOpen ? "var(--chakra-colors-bg)" : color(state)}
        r={6}
        stroke={color(state)}
        strokeWidth={2}
      />
    </>
  );
};

interface RowProps {
  line: Line;
  now: number;
  onSelect: (digest: string) => void;
  parent: Line | undefined;
  selected: boolean;
  width: number;
}

const Row = ({ line, now, onSelect, parent, selected, width }: RowProps) => (
  <Flex
    align="center"
    aria-pressed={selected}
    as="button"
    bg={selected ? "bg.emphasized" : undefined}
    borderRadius="md"
    gap={2}
    height="100%"
    justify="space-between"
    onClick={() => onSelect(line.digest)}
    pl={`${width}px`}
    pr={2}
    textAlign="start"
    width="100%"
    _hover={{ bg: selected ? "bg.emphasized" : "bg.muted" }}
  >
    <Box minWidth={0}>
      <Flex align="center" columnGap={2} wrap="wrap">
        <Text as="span" fontWeight="semibold" whiteSpace="nowrap">
          Generation {line.generation}
        </Text>
        <StateBadge size="xs" state={line.state} />
      </Flex>
      <Text color="fg.muted" fontSize="xs" truncate>
        {origin(line, parent)}
        {verdict(line)}, {span(now - line.created_at)} ago
      </Text>
    </Box>
    <Box flexShrink={0} fontSize="sm" textAlign="end">
      <Figure interval={line.stderr === null ? undefined : Z95 * line.stderr} value={line.elo} />
      <Text color="fg.muted" fontSize="xs">
        {line.elo === null ? "not rated" : "Elo"}
      </Text>
    </Box>
  </Flex>
);

function origin(line: Line, parent: Line | undefined): string {
  if (parent !== undefined) {
    return `from ${parent.generation}`;
  }
  return line.parent === null ? "from random weights" : `from ${line.parent.slice(0, 8)}`;
}

function verdict(line: Line): string {
  if (line.regression_passed === false) {
    return ", failed the six tests";
  }
  if (line.contest_passed === false) {
    return ", lost to the champion";
  }
  if (line.contest_passed === true) {
    return line.gain === null ? ", passed both gates" : `, ${signed(line.gain)} Elo at the gate`;
  }
  return line.regression_passed === true ? ", passed the six tests" : "";
}

/** Up and down, home and end, as in a list. */
function walk(event: KeyboardEvent<HTMLElement>) {
  const buttons = [...event.currentTarget.querySelectorAll("button")];
  const here = buttons.indexOf(document.activeElement as HTMLButtonElement);
  const to = { ArrowDown: here + 1, ArrowUp: here - 1, End: buttons.length - 1, Home: 0 }[event.key];
  if (to !== undefined && buttons[to] !== undefined) {
    event.preventDefault();
    buttons[to].focus();
  }
}
