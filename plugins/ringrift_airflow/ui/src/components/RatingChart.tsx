import { Box, Flex, Text } from "@chakra-ui/react";
import { useRef } from "react";
import uPlot from "uplot";

import { COLORS, axisOf, token, translucent, usePlot } from "src/components/plot";
import { span, whole } from "src/components/time";

export interface Point {
  /** UTC seconds, or core-hours. */
  at: number;
  elo: number;
  /** Half the width of the 95 % interval. */
  interval: number;
}

export interface Series {
  name: string;
  points: Point[];
  /** Which of COLORS; by default each its own. Series of one color share a name in the legend. */
  color?: number;
}

interface Props {
  series: Series[];
  height?: number;
  /** Without axes, for a card. */
  small?: boolean;
  /** What it goes along. */
  along?: "time" | "core-hours";
}

/** Ratings over time, each with the band of its 95 % interval. A screen reader gets the first and the last value. */
export const RatingChart = ({ along = "time", height = 220, series, small = false }: Props) => {
  const place = useRef<HTMLDivElement>(null);
  const drawn = series.filter((each) => each.points.length > 1);
  usePlot(place, JSON.stringify([drawn, height, small, along]), (element) => [
    options(element, drawn, height, small, along),
    table(drawn),
  ]);
  if (drawn.length === 0) {
    return (
      <Text color="fg.muted" fontSize="sm" py={small ? 1 : 6} textAlign={small ? undefined : "center"}>
        No rating over time yet
      </Text>
    );
  }
  return (
    <>
      <Box aria-label={told(drawn, along)} minWidth={0} ref={place} role="img" width="100%" />
      {small || drawn.length < 2 ? undefined : <Legend series={drawn} />}
    </>
  );
};

const colorOf = (each: Series, index: number) => `${COLORS[(each.color ?? index) % COLORS.length]}-solid`;

const Legend = ({ series }: { series: Series[] }) => (
  <Flex columnGap={4} fontSize="sm" justify="center" wrap="wrap">
    {[...new Map(series.map((each, index) => [colorOf(each, index), each.name]))].map(([color, name]) => (
      <Flex align="center" gap={2} key={color}>
        <Box aria-hidden bg={color.replace("-", ".")} borderRadius="sm" height={1} width={4} />
        {name}
      </Flex>
    ))}
  </Flex>
);

function told(series: Series[], along: string): string {
  return series
    .map(({ name, points }) => {
      const [first, last] = [points[0]!, points.at(-1)!];
      const [from, to] = [first, last].map(({ elo, interval }) => `${whole(elo)} ± ${whole(interval)}`);
      const time = along === "time" ? span(last.at - first.at) : `${(last.at - first.at).toFixed(2)} core-hours`;
      return `${name}: from ${from} to ${to} Elo in ${time}`;
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

function options(
  element: HTMLElement,
  series: Series[],
  height: number,
  small: boolean,
  along: string,
): Omit<uPlot.Options, "width"> {
  const axis = { ...axisOf(element), show: !small };
  return {
    axes: [
      { ...axis, size: 28 },
      { ...axis, size: 44, values: (_plot, values) => values.map(whole) },
    ],
    bands: series.map((each, index) => ({
      fill: translucent(token(element, colorOf(each, index))),
      series: [3 * index + 3, 3 * index + 2],
    })),
    cursor: { show: !small, drag: { x: false, y: false } },
    height,
    legend: { show: false },
    padding: small ? [4, 2, 4, 2] : [8, 8, 0, 0],
    scales: { x: { time: along === "time" } },
    series: [
      {},
      ...series.flatMap((each, index): uPlot.Series[] => {
        const { name, points } = each;
        const stroke = token(element, colorOf(each, index));
        const edge: uPlot.Series = { label: `${name} edge`, points: { show: false }, spanGaps: true, width: 0 };
        return [
          { label: name, points: { show: points.length < 3 }, spanGaps: true, stroke, width: 2 },
          edge,
          edge,
        ];
      }),
    ],
  };
}
