import { Box, Text } from "@chakra-ui/react";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import style from "uplot/dist/uPlot.min.css?inline";

import { span, whole } from "src/components/time";
import { useColorMode } from "src/components/useColorMode";

export interface Point {
  at: number;
  elo: number;
  /** Half the width of the 95 % interval. */
  interval: number;
}

export interface Series {
  name: string;
  points: Point[];
}

interface Props {
  series: Series[];
  height?: number;
  /** Without axes, for a card. */
  small?: boolean;
}

const COLORS = ["blue", "orange", "green", "purple", "red", "teal", "pink", "yellow"] as const;

/** Ratings over time, each with the band of its 95 % interval. A screen reader gets the first and the last value. */
export const RatingChart = ({ height = 220, series, small = false }: Props) => {
  const place = useRef<HTMLDivElement>(null);
  const mode = useColorMode();
  const drawn = series.filter((each) => each.points.length > 1);
  // Drawn anew when what it shows has changed, not at each poll that says the same.
  const content = JSON.stringify(drawn);
  useEffect(() => {
    const element = place.current;
    if (element === null || drawn.length === 0) {
      return undefined;
    }
    addStyle();
    const plot = new uPlot(options(element, drawn, height, small), table(drawn), element);
    const watcher = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      plot.destroy();
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `content` stands for `drawn`
  }, [content, height, small, mode]);
  if (drawn.length === 0) {
    return (
      <Text color="fg.muted" fontSize="sm" py={small ? 1 : 6} textAlign={small ? undefined : "center"}>
        No rating over time yet
      </Text>
    );
  }
  return <Box aria-label={told(drawn)} minWidth={0} ref={place} role="img" width="100%" />;
};

function told(series: Series[]): string {
  return series
    .map(({ name, points }) => {
      const [first, last] = [points[0]!, points.at(-1)!];
      const [from, to] = [first, last].map(({ elo, interval }) => `${whole(elo)} ± ${whole(interval)}`);
      return `${name}: from ${from} to ${to} Elo in ${span(last.at - first.at)}`;
    })
    .join("; ");
}

/** One row of times, then value, lower and upper edge of each series; `undefined` where a series has no point. */
function table(series: Series[]): uPlot.AlignedData {
  const tables = series.map(({ points }): uPlot.AlignedData => [
    points.map(({ at }) => at),
    points.map(({ elo }) => elo),
    points.map(({ elo, interval }) => elo - interval),
    points.map(({ elo, interval }) => elo + interval),
  ]);
  return tables.length === 1 ? tables[0]! : uPlot.join(tables);
}

function options(element: HTMLElement, series: Series[], height: number, small: boolean): uPlot.Options {
  const [text, line] = [token(element, "fg-muted"), token(element, "border")];
  const axis: uPlot.Axis = {
    show: !small,
    font: "11px system-ui, sans-serif",
    grid: { stroke: line, width: 1 },
    stroke: text,
    ticks: { show: false },
  };
  return {
    axes: [axis, { ...axis, size: 44, values: (_plot, values) => values.map(whole) }],
    bands: series.map((_, index) => ({
      fill: translucent(token(element, `${COLORS[index % COLORS.length]}-solid`)),
      series: [3 * index + 3, 3 * index + 2],
    })),
    cursor: { show: !small, drag: { x: false, y: false } },
    height,
    legend: { show: !small && series.length > 1, live: false },
    padding: small ? [4, 2, 4, 2] : [8, 8, 0, 0],
    series: [
      {},
      ...series.flatMap(({ name, points }, index): uPlot.Series[] => {
        const stroke = token(element, `${COLORS[index % COLORS.length]}-solid`);
        const edge: uPlot.Series = { label: `${name} edge`, points: { show: false }, spanGaps: true, width: 0 };
        return [
          { label: name, points: { show: points.length < 3 }, spanGaps: true, stroke, width: 2 },
          edge,
          edge,
        ];
      }),
    ],
    width: element.clientWidth,
  };
}

/** A color of the host's theme in its present mode; a canvas knows no variables. */
function token(element: HTMLElement, name: string): string {
  return getComputedStyle(element).getPropertyValue(`--chakra-colors-${name}`).trim() || "#71717a";
}

function translucent(color: string): string {
  return `color-mix(in srgb, ${color} 18%, transparent)`;
}

function addStyle() {
  const id = "ringrift-uplot";
  if (document.getElementById(id) === null) {
    document.head.append(Object.assign(document.createElement("style"), { id, textContent: style }));
  }
}
