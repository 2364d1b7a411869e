/** The twelve variants: a board and two to four players. */
export const BOARDS = ["square8", "square19", "hex8", "hexagonal"] as const;

export type Variant = `${(typeof BOARDS)[number]}_${2 | 3 | 4}p`;

export const VARIANTS: readonly Variant[] = BOARDS.flatMap((board) =>
  ([2, 3, 4] as const).map((players) => `${board}_${players}p` as const),
);
