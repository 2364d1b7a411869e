import { Box, Flex, Text } from "@chakra-ui/react";
import { type ReactNode, useLayoutEffect, useRef, useState } from "react";

import { whole } from "src/components/time";

/** What a chart draws in: pixels from values. */
export interface Scales {
  x: (value: number) => number;
  y: (value: number) => number;
  width: number;
  height: number;
}

interface Props {
  /** What it shows, with the first and the last value: for a screen reader. */
  label: string;
  x: [number, number];
  y: [number, number];
  /** What stands along the bottom. */
  along: string;
  height?: number;
  children: (scales: Scales) => ReactNode;
}

const [LEFT, BOTTOM, TOP, RIGHT] = [40, 30, 8, 12];

/** A frame with a few round numbers on both axes; whole numbers along the bottom. */
export const Chart = ({ along, children, height = 220, label, x, y }: Props) => {
  const frame = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(600);
  useLayoutEffect(() => {
    const element = frame.current!;
    const measure = () => setWidth(Math.max(240, element.clientWidth));
    measure();
    const watcher = new ResizeObserver(measure);
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);
  const scale = ([from, to]: [number, number], start: number, end: number) => (value: number) =>
    start + ((value - from) / (to - from || 1)) * (end - start);
  const scales = { height, width, x: scale(x, LEFT, width - RIGHT), y: scale(y, height - BOTTOM, TOP) };
  const digits = y[1] - y[0] < 5 ? (y[1] - y[0] < 0.5 ? 2 : 1) : 0;
  return (
    <Box minWidth={0} ref={frame}>
      <svg aria-label={label} height={height} role="img" style={{ display: "block" }} width={width}>
        <g fill="var(--chakra-colors-fg-muted)" style={{ fontSize: 11 }}>
          {ticks(y, height / 45).map((value) => (
            <g key={value}>
              <line
                stroke="var(--chakra-colors-border)"
                x1={LEFT}
                x2={width - RIGHT}
                y1={scales.y(value)}
                y2={scales.y(value)}
              />
              <text textAnchor="end" x={LEFT - 6} y={scales.y(value) + 4}>
                {digits ? value.toFixed(digits) : whole(value)}
              </text>
            </g>
          ))}
          {ticks(x, width / 60, 1).map((value) => (
            <text key={value} textAnchor="middle" x={scales.x(value)} y={height - BOTTOM + 15}>
              {value}
            </text>
          ))}
          <text textAnchor="end" x={width - RIGHT} y={height - 2}>
            {along}
          </text>
        </g>
        {children(scales)}
      </svg>
    </Box>
  );
};

/** Round values within a range, at most `most` or so. */
export function ticks([from, to]: [number, number], most: number, least = 0): number[] {
  const raw = (to - from || 1) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(least, [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= raw)!);
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.floor(to / step) - first + 1 }, (_, index) => (first + index) * step);
}

/** What the colors of a chart mean. */
export const Legend = ({ items }: { items: { name: string; color: string; dashed?: boolean }[] }) => (
  <Flex color="fg.muted" columnGap={4} fontSize="xs" mt={1} wrap="wrap">
    {items.map(({ color, dashed = false, name }) => (
      <Flex align="center" gap={1.5} key={name}>
        <Box borderColor={color} borderStyle={dashed ? "dashed" : "solid"} borderTopWidth="2px" width={4} />
        <Text as="span">{name}</Text>
      </Flex>
    ))}
  </Flex>
);
