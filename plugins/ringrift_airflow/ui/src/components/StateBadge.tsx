import { Badge } from "@chakra-ui/react";

/** How a state is to be felt; the word itself always says it as well. */
export const TONES: Record<string, "good" | "busy" | "warn" | "bad" | "calm"> = {
  learning: "good",
  bootstrapping: "busy",
  working: "calm",
  stalled: "warn",
  halted: "warn",
  ill: "bad",
  "not running": "bad",
  running: "good",
  finished: "calm",
  optimal: "good",
  below: "busy",
  above: "warn",
  critical: "bad",
  hold: "calm",
  scale_up: "busy",
  scale_down: "warn",
  no_data: "calm",
  unknown: "calm",
  promoted: "good",
  rejected: "warn",
  rolled_back: "bad",
  champion: "good",
  former: "busy",
  "rolled back": "bad",
  "champion again": "good",
  replaced: "busy",
  passed: "good",
  failed: "bad",
  undecided: "warn",
  online: "good",
  failing: "bad",
  retrying: "warn",
  late: "warn",
  silent: "warn",
  playing: "good",
  unreachable: "bad",
  succeeded: "good",
};

const PALETTES = { good: "green", busy: "blue", warn: "orange", bad: "red", calm: "gray" } as const;

export const paletteOf = (state: string) => PALETTES[TONES[state] ?? "calm"];

export const StateBadge = ({ size = "md", state }: { size?: "xs" | "sm" | "md" | "lg"; state: string }) => (
  <Badge colorPalette={paletteOf(state)} size={size} textTransform="capitalize" variant="surface" whiteSpace="nowrap">
    {state.replaceAll("_", " ")}
  </Badge>
);
