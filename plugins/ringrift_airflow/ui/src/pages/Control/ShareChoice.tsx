import { Flex, Progress, Text } from "@chakra-ui/react";

import { ConfirmWithReason } from "src/components/ConfirmWithReason";

const CHOICES = [
  { action: "Pause self-play", share: 0 },
  { action: "Half of the slots", share: 0.5 },
  { action: "All slots", share: 1 },
];

interface Props {
  share: number;
  slots: number;
  locked: string | undefined;
  onChoose: (share: number, why: string) => Promise<unknown>;
}

/** How many of the self-play slots may play; everything else of the loop goes on. */
export const ShareChoice = ({ locked, onChoose, share, slots }: Props) => (
  <>
    <Progress.Root max={1} mb={3} size="sm" value={share}>
      <Flex fontSize="sm" justify="space-between" mb={1}>
        <Progress.Label>Slots that may play</Progress.Label>
        <Text as="span" color="fg.muted">
          {Math.round(100 * share)} % of {slots}
        </Text>
      </Flex>
      <Progress.Track>
        <Progress.Range />
      </Progress.Track>
    </Progress.Root>
    <Flex gap={2} wrap="wrap">
      {CHOICES.map((choice) => (
        <ConfirmWithReason
          action={choice.action}
          disabled={choice.share === share}
          key={choice.share}
          locked={locked}
          onConfirm={(why) => onChoose(choice.share, why)}
        >
          From the next reconcile on, within a minute, {Math.round(100 * choice.share)} % of the self-play slots may
          play, {Math.round(100 * share)} % may now. Training, gates and tournaments go on.
        </ConfirmWithReason>
      ))}
    </Flex>
    <Text color="fg.muted" fontSize="sm" mt={3}>
      Any other share: <code>ringrift-loop workers rate 0.25</code>
    </Text>
  </>
);
