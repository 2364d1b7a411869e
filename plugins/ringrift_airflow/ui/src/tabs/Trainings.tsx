import { DataList, Flex, Heading, Link, Progress, SimpleGrid, Skeleton, Stack, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { Link as RouterLink } from "react-router-dom";

import { ROOT } from "src/Shell";
import { type Schema, api, useLive } from "src/api/client";
import { ErrorNotice } from "src/components/ErrorNotice";
import { LossChart } from "src/components/LossChart";
import { StateBadge } from "src/components/StateBadge";
import { clock, counted, span, whole } from "src/components/time";

type Training = Schema<"TrainingView">;

/** The training runs: all of late, or those that one run of the DAG made. */
export const Trainings = ({ runId }: { runId?: string }) => {
  const { data, error } = useLive(
    ["trainings", runId],
    () => api.GET("/api/trainings", { params: { query: { dag_run: runId } } }),
    5000,
  );
  return (
    <Stack gap={4}>
      <ErrorNotice error={error} />
      {data === undefined ? error === null && <Skeleton height="16rem" /> : undefined}
      {data?.length === 0 && (
        <Text color="fg.muted">
          {runId === undefined
            ? "Nothing was trained yet: a training starts when a variant has its new games."
            : "This run has made no training run: it waits for one, or was skipped. Its tasks say why."}
        </Text>
      )}
      <SimpleGrid gap={4} minChildWidth={{ base: "100%", md: "24rem" }}>
        {data?.map((training) => <Card key={training.id} training={training} />)}
      </SimpleGrid>
    </Stack>
  );
};

const Card = ({ training }: { training: Training }) => {
  const runs = training.finished_at === null;
  return (
    <Flex as="article" borderRadius="md" borderWidth="1px" direction="column" gap={3} minWidth={0} p={{ base: 3, md: 4 }}>
      <Flex align="start" gap={3} justify="space-between">
        <Heading as="h2" overflowWrap="anywhere" size="sm">
          {training.variant}
          {training.model === null ? undefined : (
            <>
              ,{" "}
              <Link asChild variant="underline">
                <RouterLink to={`${ROOT}/models?config=${training.variant}&model=${training.model}`}>
                  generation {training.generation}
                </RouterLink>
              </Link>
            </>
          )}
        </Heading>
        <StateBadge state={training.status ?? training.state} />
      </Flex>
      {runs && training.step !== null && training.steps !== null ? (
        <Progress.Root colorPalette="brand" max={training.steps} size="sm" value={training.step}>
          <Flex fontSize="sm" justify="space-between" mb={1}>
            <Progress.Label>
              Step {whole(training.step)} of {whole(training.steps)}
            </Progress.Label>
            <Text as="span" color="fg.muted">
              {training.left_s === null ? "" : `${span(training.left_s)} left`}
            </Text>
          </Flex>
          <Progress.Track>
            <Progress.Range />
          </Progress.Track>
        </Progress.Root>
      ) : undefined}
      {runs && training.step === null ? (
        <Text color="fg.muted" fontSize="sm">
          No step told yet: its window is being built, or it trains on another host, whose figures come at its end.
        </Text>
      ) : undefined}
      {runs && training.train.length > 0 ? (
        <LossChart train={training.train} validation={training.validation} />
      ) : undefined}
      <DataList.Root gap={1.5} orientation="horizontal" size="sm">
        <Item label="Run">{training.id}</Item>
        <Item label="Started">{clock(training.started_at)}</Item>
        {training.finished_at === null ? undefined : (
          <Item label="Took">{span(training.finished_at - training.started_at)}</Item>
        )}
        <Item label="Games">
          {whole(training.games)} new, {counted(training.window_rows, "row")} in the window
        </Item>
        {training.train.length > 0 && training.validation.length > 0 ? (
          <Item label="Losses">{losses(training)}</Item>
        ) : undefined}
        {training.samples_per_second === null ? undefined : (
          <Item label="Speed">{whole(training.samples_per_second)} samples/s</Item>
        )}
        {training.reason === null ? undefined : <Item label="Decision">{training.reason}</Item>}
        {training.error === null ? undefined : <Item label="Error">{training.error}</Item>}
      </DataList.Root>
    </Flex>
  );
};

function losses({ train, validation }: Training): string {
  const [last, measured] = [train.at(-1)!, validation.at(-1)!];
  return `${last.total.toFixed(3)} in training, ${measured.total.toFixed(3)} in validation (policy ${measured.policy.toFixed(3)}, value ${measured.value.toFixed(3)})`;
}

const Item = ({ children, label }: { children: ReactNode; label: string }) => (
  <DataList.Item alignItems="start">
    <DataList.ItemLabel minWidth="5rem">{label}</DataList.ItemLabel>
    <DataList.ItemValue display="block" minWidth={0} overflowWrap="anywhere">
      {children}
    </DataList.ItemValue>
  </DataList.Item>
);
