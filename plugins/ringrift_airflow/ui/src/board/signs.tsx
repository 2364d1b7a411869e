/**
 * How seats are told apart: by color, by the shape of their sign, and by their number.
 *
 * The colors are Okabe and Ito's (2008), made for all kinds of color vision; blue, orange, green and purple differ in
 * lightness as well, and each keeps a contrast of 3 to both the light and the dark board.
 */
export const COLORS = ["#0a72c2", "#e08a00", "#0b9a6d", "#b85fa0"] as const;
const NAMES = ["Blue", "Orange", "Green", "Purple"] as const;

export const colorOf = (seat: number): string => COLORS[seat - 1] ?? "#71717a";

/** `Blue (seat 1)`. */
export const seatName = (seat: number): string => `${NAMES[seat - 1] ?? "Seat"} (seat ${seat})`;
export const colorName = (seat: number): string => NAMES[seat - 1] ?? `seat ${seat}`;

/** The seat's sign around the origin: disc, square, triangle, diamond; about as wide as 2 * `size`. */
export const Sign = ({ className, fill, seat, size }: { className?: string; fill?: string; seat: number; size: number }) => {
  const color = fill ?? colorOf(seat);
  switch (seat) {
    case 1:
      return <circle className={className} fill={color} r={size} />;
    case 2:
      return <rect className={className} fill={color} height={1.76 * size} width={1.76 * size} x={-0.88 * size} y={-0.88 * size} />;
    case 3:
      return <polygon className={className} fill={color} points={`0,${-1.2 * size} ${1.12 * size},${0.8 * size} ${-1.12 * size},${0.8 * size}`} />;
    default:
      return <polygon className={className} fill={color} points={`0,${-1.22 * size} ${1.22 * size},0 0,${1.22 * size} ${-1.22 * size},0`} />;
  }
};

/** The sign alone, beside a name. */
export const SeatSign = ({ seat, size = 14 }: { seat: number; size?: number }) => (
  <svg aria-hidden height={size} style={{ display: "inline-block", flexShrink: 0, verticalAlign: "-0.15em" }} viewBox="-1.3 -1.3 2.6 2.6" width={size}>
    <Sign seat={seat} size={1} />
  </svg>
);
