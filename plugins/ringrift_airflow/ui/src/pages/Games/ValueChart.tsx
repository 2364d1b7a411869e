import { Box, Flex, Text, chakra } from "@chakra-ui/react";
import type { MouseEvent } from "react";

import type { Schema } from "src/api/client";
import { SeatSign, colorName, colorOf } from "src/board/signs";
import type { Judgement } from "src/pages/Games/useJudgements";

const HEIGHT = 100;

interface Props {
  game: Schema<"Replay">;
  judged: readonly (Judgement | undefined)[];
  ply: number;
  go: (ply: number) => void;
}

/** Each seat's share of the win over the whole game, as the champion sees it; a click leads to that ply. */
export const ValueChart = ({ game, go, judged, ply }: Props) => {
  const last = Math.max(1, game.steps.length - 1);
  const seats = [...Array(game.shape.players).keys()];
  const known = judged.filter((each) => each !== undefined).length;
  if (known === 0) {
    return undefined;
  }
  return (
    <Box>
      <Flex align="center" columnGap={4} fontSize="xs" mb={1} wrap="wrap">
        <Text color="fg.muted">Share of the win, as the champion sees it</Text>
        {seats.map((seat) => (
          <Flex align="center" gap={1} key={seat}>
            <SeatSign seat={seat + 1} size={11} />
            {colorName(seat + 1)}
          </Flex>
        ))}
      </Flex>
      <chakra.svg
        aria-label={`Share of the win over the game; at ply ${ply}: ${told(judged[ply])}`}
        borderRadius="md"
        borderWidth="1px"
        cursor="pointer"
        display="block"
        height="84px"
        role="img"
        width="100%"
        onClick={(event: MouseEvent<SVGSVGElement>) => {
          const { left, width } = event.currentTarget.getBoundingClientRect();
          go(Math.round(((event.clientX - left) / width) * last));
        }}
        preserveAspectRatio="none"
        viewBox={`0 0 ${last} ${HEIGHT}`}
      >
        {[25, 50, 75].map((share) => (
          <line key={share} stroke="var(--chakra-colors-border)" vectorEffect="non-scaling-stroke" x1={0} x2={last} y1={share} y2={share} />
        ))}
        {seats.map((seat) => (
          <path
            d={line(judged, seat)}
            fill="none"
            key={seat}
            stroke={colorOf(seat + 1)}
            strokeDasharray={["", "7 3", "2 3", "9 3 2 3"][seat]}
            strokeWidth={2}
            vectorEffect="non-scaling-stroke"
          />
        ))}
        <line stroke="var(--chakra-colors-fg)" vectorEffect="non-scaling-stroke" x1={ply} x2={ply} y1={0} y2={HEIGHT} />
      </chakra.svg>
    </Box>
  );
};

function line(judged: Props["judged"], seat: number): string {
  let pen = "M";
  return judged
    .flatMap((each, ply) => {
      if (each === undefined) {
        pen = "M";
        return [];
      }
      const part = `${pen}${ply} ${(HEIGHT * (1 - each.values[seat]!)).toFixed(1)}`;
      pen = "L";
      return [part];
    })
    .join(" ");
}

const told = (judged: Judgement | undefined): string =>
  judged === undefined ? "not known yet" : judged.values.map((value, seat) => `${colorName(seat + 1)} ${(100 * value).toFixed(0)} %`).join(", ");
