import type { Schema } from "src/api/client";

type Machine = Schema<"MachineLine">;

const [WIDTH, HEIGHT, TOP] = [400, 34, 16];
const PARTS = [
  { color: "blue-solid", name: "workers", of: ({ workers }: Machine) => workers },
  { color: "teal-solid", name: "jobs", of: ({ jobs }: Machine) => jobs },
  { color: "gray-solid", name: "others", of: ({ strangers }: Machine) => strangers },
] as const;

/** What of a machine is used, and by whom, above the band that it should lie in. */
export const LoadBar = ({ machine }: { machine: Machine }) => {
  const { cpu, high, low, target } = machine;
  const x = (percent: number) => (WIDTH * Math.min(100, Math.max(0, percent))) / 100;
  let at = 0;
  return (
    <svg
      aria-label={
        `CPU ${Math.round(cpu)} %: ${PARTS.map(({ name, of }) => `${name} ${Math.round(of(machine))} %`).join(", ")}; ` +
        `it should lie between ${low} and ${high} %`
      }
      preserveAspectRatio="none"
      role="img"
      style={{ display: "block", height: HEIGHT, width: "100%" }}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
    >
      <rect fill="var(--chakra-colors-bg-emphasized)" height={12} width={WIDTH} x={0} y={TOP} />
      {PARTS.map(({ color, name, of }) => {
        const start = at;
        at += of(machine);
        return (
          <rect
            fill={`var(--chakra-colors-${color})`}
            height={12}
            key={name}
            width={x(at) - x(start)}
            x={x(start)}
            y={TOP}
          />
        );
      })}
      <rect fill="var(--chakra-colors-green-fg)" height={4} width={x(high) - x(low)} x={x(low)} y={9} />
      <rect fill="var(--chakra-colors-fg)" height={16} width={2} x={x(target) - 1} y={7} />
    </svg>
  );
};

export const PARTS_OF_LOAD = PARTS.map(({ color, name }) => ({ color: color.replace("-", "."), name }));
