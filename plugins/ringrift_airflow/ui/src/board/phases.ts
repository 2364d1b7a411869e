/** The phases of a turn in words (docs/3-rules.md 4). */
export const PHASES: Record<string, string> = {
  CA: "capture",
  CH: "chain capture",
  FE: "forced elimination",
  GO: "game over",
  LI: "lines",
  MO: "movement",
  RP: "placement",
  TE: "regions",
};

const RESULTS: Record<string, string> = {
  elimination: "eliminated enough rings",
  lps: "was the last player standing",
  resigned: "the other gave up",
  sole_survivor: "alone has rings left",
  stalemate: "ranked first when nobody could move",
  territory: "holds enough territory",
};

export const resultOf = (result: string): string => RESULTS[result] ?? result;
