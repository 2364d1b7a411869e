import { Text } from "@chakra-ui/react";

import type { Schema } from "src/api/client";

const [WIDTH, HEIGHT] = [400, 56];

interface Props {
  points: Schema<"LoadPoint">[];
  low: number;
  high: number;
  now: number;
}

/** A machine's last hour, with the band behind it. */
export const LoadLine = ({ high, low, now, points }: Props) => {
  if (points.length < 2) {
    return (
      <Text color="fg.muted" fontSize="xs">
        No history of the last hour yet.
      </Text>
    );
  }
  const x = (at: number) => WIDTH * (1 - Math.min(3600, Math.max(0, now - at)) / 3600);
  const y = (percent: number) => HEIGHT * (1 - percent / 100);
  const line = (of: (point: Schema<"LoadPoint">) => number) =>
    points.map((point) => `${x(point.at).toFixed(1)},${y(of(point)).toFixed(1)}`).join(" ");
  const inside = points.filter(({ cpu }) => cpu >= low && cpu <= high).length;
  return (
    <svg
      aria-label={`The last hour: within the band in ${inside} of ${points.length} minutes`}
      preserveAspectRatio="none"
      role="img"
      style={{ display: "block", height: HEIGHT, width: "100%" }}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
    >
      <rect
        fill="var(--chakra-colors-green-muted)"
        height={y(low) - y(high)}
        opacity={0.7}
        width={WIDTH}
        x={0}
        y={y(high)}
      />
      <polyline
        fill="none"
        points={line(({ own }) => own)}
        stroke="var(--chakra-colors-blue-solid)"
        strokeDasharray="4 3"
        strokeWidth={1.2}
        vectorEffect="non-scaling-stroke"
      />
      <polyline
        fill="none"
        points={line(({ cpu }) => cpu)}
        stroke="var(--chakra-colors-fg)"
        strokeWidth={1.6}
        vectorEffect="non-scaling-stroke"
      />
    </svg>
  );
};
