import { Text } from "@chakra-ui/react";

import type { Schema } from "src/api/client";
import { Chart, Legend } from "src/components/Chart";
import { whole } from "src/components/time";
import { Z95 } from "src/pages/Models/FamilyGraph";

type Line = Schema<"ModelLine">;

interface Props {
  view: Pick<Schema<"ModelsAnswer">, "baselines" | "models" | "variant">;
  selected: string | undefined;
}

/** In the line of champions that holds: one that was taken back is not. */
const isReign = ({ state }: Line) => state === "champion" || state === "former";
const isTakenBack = ({ state }: Line) => state === "rolled back";

/** The rating of every model by generation, each with its 95 % interval; champions are filled. */
export const StrengthChart = ({ selected, view }: Props) => {
  const rated = view.models.filter(({ elo }) => elo !== null).toSorted((a, b) => a.generation - b.generation);
  if (rated.length === 0) {
    return <Text color="fg.muted">No model of {view.variant} is rated yet: tournaments do that.</Text>;
  }
  const ends = [
    ...rated.flatMap(({ elo, stderr }) => [elo! - Z95 * (stderr ?? 0), elo! + Z95 * (stderr ?? 0)]),
    ...view.baselines.map(({ elo }) => elo),
  ];
  const generations: [number, number] = [rated[0]!.generation - 0.5, rated.at(-1)!.generation + 0.5];
  const margin = 0.06 * (Math.max(...ends) - Math.min(...ends)) + 1;
  const champions = rated.filter(isReign);
  return (
    <>
      <Chart
        along="generation"
        height={260}
        label={told(rated)}
        x={generations}
        y={[Math.min(...ends) - margin, Math.max(...ends) + margin]}
      >
        {({ width, x, y }) => (
          <>
            {view.baselines.map(({ elo, name }) => (
              <g key={name}>
                <line
                  stroke="var(--chakra-colors-fg-subtle)"
                  strokeDasharray="2 4"
                  x1={40}
                  x2={width - 12}
                  y1={y(elo)}
                  y2={y(elo)}
                />
                <text
                  fill="var(--chakra-colors-fg-muted)"
                  style={{ fontSize: 11 }}
                  textAnchor="end"
                  x={width - 14}
                  y={y(elo) - 4}
                >
                  {name.split("@")[0]}
                </text>
              </g>
            ))}
            <polyline
              fill="none"
              points={champions.map(({ elo, generation }) => `${x(generation)},${y(elo!)}`).join(" ")}
              stroke="var(--chakra-colors-blue-fg)"
              strokeWidth={1.5}
            />
            {rated.map((line) => (
              <Mark key={line.digest} line={line} selected={line.digest === selected} x={x(line.generation)} y={y} />
            ))}
          </>
        )}
      </Chart>
      <Legend
        items={[
          { color: "blue.fg", name: "champions" },
          { color: "red.fg", name: "rolled back" },
          { color: "fg.muted", name: "other models" },
          { color: "fg.subtle", dashed: true, name: "fixed players" },
        ]}
      />
    </>
  );
};

interface MarkProps {
  line: Line;
  selected: boolean;
  x: number;
  y: (value: number) => number;
}

const Mark = ({ line, selected, x, y }: MarkProps) => {
  const { elo, generation, stderr } = line;
  const half = Z95 * (stderr ?? 0);
  const color = `var(--chakra-colors-${isReign(line) ? "blue-fg" : isTakenBack(line) ? "red-fg" : "fg-muted"})`;
  return (
    <g stroke={color} strokeWidth={1.5}>
      <title>{`Generation ${generation}: ${whole(elo!)} ± ${whole(half)} Elo`}</title>
      <line x1={x} x2={x} y1={y(elo! - half)} y2={y(elo! + half)} />
      <line x1={x - 3} x2={x + 3} y1={y(elo! - half)} y2={y(elo! - half)} />
      <line x1={x - 3} x2={x + 3} y1={y(elo! + half)} y2={y(elo! + half)} />
      <circle cx={x} cy={y(elo!)} fill={isReign(line) ? color : "var(--chakra-colors-bg)"} r={selected ? 6 : 4} />
    </g>
  );
};

function told(rated: Line[]): string {
  const name = ({ elo, generation, stderr }: Line) =>
    `generation ${generation} ${whole(elo!)} ± ${whole(Z95 * (stderr ?? 0))} Elo`;
  return `Ratings with 95 % intervals: ${rated.map(name).join("; ")}`;
}
