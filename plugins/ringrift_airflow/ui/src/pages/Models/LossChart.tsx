import { SimpleGrid, Stack, Text } from "@chakra-ui/react";

import type { Schema } from "src/api/client";
import { Chart, Legend } from "src/components/Chart";

type Point = Schema<"LossPoint">;

const TRAINING = "blue.solid";
const VALIDATION = "orange.solid";

/** Policy and value loss of each training, on rows that it learned from and on rows that it did not see. */
export const LossChart = ({ points }: { points: Point[] }) =>
  points.length === 0 ? (
    <Text color="fg.muted">No training has finished yet.</Text>
  ) : (
    <>
      <SimpleGrid columns={{ base: 1, xl: 2 }} gap={4}>
        <One name="Policy" of={({ policy }) => policy} points={points} />
        <One name="Value" of={({ value }) => value} points={points} />
      </SimpleGrid>
      <Legend
        items={[
          { color: TRAINING, name: "training rows" },
          { color: VALIDATION, dashed: true, name: "validation rows" },
        ]}
      />
    </>
  );

interface OneProps {
  name: string;
  of: (losses: Schema<"LossMeans">) => number;
  points: Point[];
}

const One = ({ name, of, points }: OneProps) => {
  const values = points.flatMap(({ train, validation }) => [of(train), of(validation)]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = 0.1 * (high - low) || 0.05;
  const [first, last] = [points[0]!, points.at(-1)!];
  return (
    <Stack gap={1} minWidth={0}>
      <Text fontSize="sm">
        {name}{" "}
        <Text as="span" color="fg.muted">
          nats above the target&apos;s own entropy
        </Text>
      </Text>
      <Chart
        along="generation"
        height={160}
        label={
          `${name} loss on validation rows: ${of(first.validation).toFixed(3)} in generation ${first.generation}, ` +
          `${of(last.validation).toFixed(3)} in generation ${last.generation}`
        }
        x={[first.generation - 0.5, last.generation + 0.5]}
        y={[low - margin, high + margin]}
      >
        {({ x, y }) => (
          <>
            <Curve color={TRAINING} points={points.map((p) => [x(p.generation), y(of(p.train))])} />
            <Curve color={VALIDATION} dashed points={points.map((p) => [x(p.generation), y(of(p.validation))])} />
          </>
        )}
      </Chart>
    </Stack>
  );
};

const Curve = ({ color, dashed = false, points }: { color: string; dashed?: boolean; points: [number, number][] }) => {
  const stroke = `var(--chakra-colors-${color.replace(".", "-")})`;
  return (
    <>
      <polyline
        fill="none"
        points={points.map((point) => point.join(",")).join(" ")}
        stroke={stroke}
        strokeDasharray={dashed ? "5 4" : undefined}
        strokeWidth={2}
      />
      {points.length < 40 &&
        points.map(([cx, cy]) => <circle cx={cx} cy={cy} fill={stroke} key={cx} r={2.5} />)}
    </>
  );
};
