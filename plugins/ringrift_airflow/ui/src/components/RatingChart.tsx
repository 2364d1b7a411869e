import { Box, Text } from "@chakra-ui/react";
import { useRef } from "react";
import uPlot from "uplot";

import { COLORS, axisOf, token, translucent, usePlot } from "src/components/plot";
import { span, whole } from "src/components/time";

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

/** Ratings over time, each with the band of its 95 % interval. A screen reader gets the first and the last value. */
export const RatingChart = ({ height = 220, series, small = false }: Props) => {
  const place = useRef<HTMLDivElement>(null);
  const drawn = series.filter((each) => each.points.length > 1);
  usePlot(place, JSON.stringify([drawn, height, small]), (element) => [
    options(element, drawn, height, small),
    table(drawn),
  ]);
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

function options(element: HTMLElement, series: Series[], height: number, small: boolean): Omit<uPlot.Options, "width"> {
  const axis = { ...axisOf(element), show: !small };
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
  };
}
