/** A stack seen aslant: its rings lie on each other, the lowest in front at the bottom, so that every color shows. */
import { colorOf } from "src/board/signs";

const RX = 0.37;
const RY = 0.15;
const LEAST = 0.035;

export const Pile = ({ rings }: { rings: readonly number[] }) => {
  const count = rings.length;
  // As thick as a ring is, until the pile would leave its cell.
  const step = count === 1 ? 0.13 : Math.max(LEAST, Math.min(0.13, 0.56 / count));
  const base = 0.3;
  const top = base - count * step;
  return (
    <g>
      <ellipse className="rr-shade" cx={0.02} cy={base + 0.05} rx={RX + 0.02} ry={RY + 0.02} />
      {rings.map((seat, index) => (
        // A ring never changes its place in the pile while the pile is the same.
        <Side color={colorOf(seat)} height={step} key={index} y={base - index * step} />
      ))}
      <ellipse className="rr-rim" cx={0} cy={top} fill={colorOf(rings[count - 1]!)} rx={RX} ry={RY} />
      <ellipse className="rr-hole" cx={0} cy={top + 0.005} rx={RX * 0.52} ry={RY * 0.5} />
    </g>
  );
};

/** The side of a ring: from `y` upwards. */
const Side = ({ color, height, y }: { color: string; height: number; y: number }) => (
  <path
    className="rr-side"
    d={`M${-RX} ${y - height} V${y} A${RX} ${RY} 0 0 0 ${RX} ${y} V${y - height} A${RX} ${RY} 0 0 1 ${-RX} ${y - height} Z`}
    fill={color}
  />
);
