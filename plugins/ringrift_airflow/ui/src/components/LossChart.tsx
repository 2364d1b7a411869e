import { Box, Text } from "@chakra-ui/react";
import { useRef } from "react";
import uPlot from "uplot";

import type { Schema } from "src/api/client";
import { axisOf, token, usePlot } from "src/components/plot";
import { whole } from "src/components/time";

type Point = Schema<"StepLosses">;

interface Props {
  train: Point[];
  validation: Point[];
  height?: number;
}

/** The total loss by step: of single batches, and measured on the validation rows. */
export const LossChart = ({ height = 220, train, validation }: Props) => {
  const place = useRef<HTMLDivElement>(null);
  const shown = train.length > 1;
  usePlot(place, JSON.stringify([shown, train, validation, height]), (element) => [
    options(element, height),
    shown ? uPlot.join([lines(train), lines(validation)]) : [[], [], []],
  ]);
  return (
    <>
      <Box
        aria-label={shown ? told(train, validation) : undefined}
        display={shown ? undefined : "none"}
        minWidth={0}
        ref={place}
        role="img"
        width="100%"
      />
      {shown ? undefined : (
        <Text color="fg.muted" fontSize="sm">
          No losses by step yet
        </Text>
      )}
    </>
  );
};

const lines = (points: Point[]): uPlot.AlignedData => [points.map(({ step }) => step), points.map(({ total }) => total)];

function told(train: Point[], validation: Point[]): string {
  const part = (name: string, points: Point[]) =>
    points.length === 0
      ? `${name}: none yet`
      : `${name}: from ${points[0]!.total.toFixed(3)} to ${points.at(-1)!.total.toFixed(3)} at step ${points.at(-1)!.step}`;
  return `Total loss. ${part("Batches", train)}; ${part("validation", validation)}`;
}

function options(element: HTMLElement, height: number): Omit<uPlot.Options, "width"> {
  const axis = axisOf(element);
  return {
    axes: [
      { ...axis, size: 28, values: (_plot, values) => values.map(whole) },
      { ...axis, size: 44, values: (_plot, values) => values.map((value) => value.toFixed(1)) },
    ],
    cursor: { drag: { x: false, y: false } },
    height,
    legend: { live: false },
    padding: [8, 8, 0, 0],
    scales: { x: { time: false } },
    series: [
      { label: "step" },
      { label: "batches", points: { show: false }, spanGaps: true, stroke: token(element, "blue-solid"), width: 1.5 },
      { label: "validation", spanGaps: true, stroke: token(element, "orange-solid"), width: 2 },
    ],
  };
}
