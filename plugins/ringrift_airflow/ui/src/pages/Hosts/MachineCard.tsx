import { Box, Flex, Heading, Text } from "@chakra-ui/react";

import type { Schema } from "src/api/client";
import { Age } from "src/components/Age";
import { Legend } from "src/components/Chart";
import { StateBadge } from "src/components/StateBadge";
import { LoadBar, PARTS_OF_LOAD } from "src/pages/Hosts/LoadBar";
import { LoadLine } from "src/pages/Hosts/LoadLine";

interface Props {
  load: Schema<"MachineLoad"> | undefined;
  machine: Schema<"MachineLine">;
  now: number;
}

/** One machine: its load against the band, now and in the last hour, and what was decided about it. */
export const MachineCard = ({ load, machine, now }: Props) => (
  <Flex as="article" borderRadius="md" borderWidth="1px" direction="column" gap={2} minWidth={0} p={{ base: 3, md: 4 }}>
    <Flex align="start" gap={3} justify="space-between">
      <Box minWidth={0}>
        <Heading as="h3" overflowWrap="anywhere" size="sm">
          {machine.hosts.join(", ")}
        </Heading>
        <Text color="fg.muted" fontSize="xs">
          measured <Age at={machine.at} now={now} />
        </Text>
      </Box>
      <Flex align="center" gap={2}>
        <Text fontSize="xl" fontVariantNumeric="tabular-nums" fontWeight="semibold">
          {Math.round(machine.cpu)} %
        </Text>
        <StateBadge size="sm" state={machine.zone} />
      </Flex>
    </Flex>
    <LoadBar machine={machine} />
    <Flex columnGap={3} justify="space-between" wrap="wrap">
      <Legend items={PARTS_OF_LOAD} />
      <Text color="fg.muted" fontSize="xs" mt={1}>
        band {machine.low} to {machine.high} %, aim {machine.target} %
      </Text>
    </Flex>
    <LoadLine high={machine.high} low={machine.low} now={now} points={load?.points ?? []} />
    <Text color="fg.muted" fontSize="xs">
      the last hour: all of it, and dashed what the loop itself used
    </Text>
    <Flex columnGap={4} fontSize="sm" rowGap={0.5} wrap="wrap">
      <Part name="Workers compute" value={`${Math.round(100 * machine.duty)} % of their time`} />
      <Part name="Memory" value={`${Math.round(machine.memory)} %`} warn={machine.memory > machine.memory_max} />
      {machine.gpu === null ? undefined : <Part name="GPU" value={`${Math.round(machine.gpu)} %`} />}
      {machine.gpu_memory === null ? undefined : (
        <Part name="GPU memory" value={`${Math.round(machine.gpu_memory)} %`} />
      )}
      {machine.disk === null ? undefined : <Part name="Disk" value={`${Math.round(machine.disk)} %`} />}
    </Flex>
    {machine.reason === null ? undefined : (
      <Text color="fg.muted" fontSize="sm" overflowWrap="anywhere">
        {machine.reason} (<Age at={machine.decided_at} now={now} />)
      </Text>
    )}
  </Flex>
);

const Part = ({ name, value, warn = false }: { name: string; value: string; warn?: boolean }) => (
  <Text color={warn ? "red.fg" : undefined} whiteSpace="nowrap">
    <Text as="span" color="fg.muted">
      {name}
    </Text>{" "}
    {value}
  </Text>
);
