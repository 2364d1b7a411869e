import { Badge, Box, Code, DataList, Flex, Heading, List, Skeleton, Stack, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";

import { type Schema, api, useLive } from "src/api/client";
import { type Column, DataTable } from "src/components/DataTable";
import { ErrorNotice } from "src/components/ErrorNotice";
import { Figure } from "src/components/Figure";
import { Panel } from "src/components/Panel";
import { RatingChart, type Series } from "src/components/RatingChart";
import { StateBadge } from "src/components/StateBadge";
import { clock, counted, signed, whole } from "src/components/time";

type Experiment = Schema<"ShownExperiment">;

/** Two arms of the loop with the same budget: what was asked, what it cost, and which arm was stronger. */
export const Experiments = () => {
  const { data, error } = useLive(["experiments"], () => api.GET("/api/experiments"), 15_000);
  return (
    <Stack gap={4} maxWidth="90rem">
      <Heading as="h1" size={{ base: "lg", md: "xl" }}>
        Experiments
      </Heading>
      <ErrorNotice error={error} />
      {data === undefined ? error === null && <Skeleton height="24rem" /> : undefined}
      {data?.experiments.length === 0 && <Empty />}
      {data?.experiments.map((experiment) => (
        <Card experiment={experiment} key={`${experiment.shipped} ${experiment.name}`} />
      ))}
      {data !== undefined && data.problems.length > 0 && (
        <Panel title="Records that cannot be read">
          <List.Root ps={5}>
            {data.problems.map((problem) => (
              <List.Item key={problem} overflowWrap="anywhere">
                {problem}
              </List.Item>
            ))}
          </List.Root>
        </Panel>
      )}
    </Stack>
  );
};

const Empty = () => (
  <Panel title="None yet">
    <Text mb={3}>
      An experiment runs the whole loop twice with the same budget, lets the models play each other and says which arm is
      stronger. For example, in a terminal:
    </Text>
    <Command
      text={
        "ringrift-loop experiment --name moves --variant square8_2p --first selfplay.considered_moves=4 " +
        "--second selfplay.considered_moves=16 --core-seconds 600"
      }
    />
  </Panel>
);

const Command = ({ text }: { text: string }) => (
  <Code display="block" overflowX="auto" p={3} tabIndex={0} whiteSpace="pre-wrap">
    {text}
  </Code>
);

const Card = ({ experiment }: { experiment: Experiment }) => (
  <Panel
    right={
      <Flex gap={2}>
        {experiment.shipped ? <Badge variant="outline">shipped</Badge> : undefined}
        <StateBadge size="sm" state={experiment.state} />
      </Flex>
    }
    title={experiment.name}
  >
    <Stack gap={4}>
      <Box>
        <Text fontWeight="semibold">{experiment.question || "No question was written down."}</Text>
        <Text mt={1}>{experiment.verdict?.sentence ?? "No verdict yet."}</Text>
      </Box>
      <RatingChart along="core-hours" series={curves(experiment)} />
      <DataTable
        columns={ARMS}
        empty="No arm."
        label={`Arms of ${experiment.name}`}
        rowKey={(row) => row.name}
        rows={experiment.arms.map((arm, number) => ({ ...arm, ...reached(experiment, number) }))}
        stacked
      />
      <DataList.Root gap={1.5} orientation="horizontal" size="sm">
        {experiment.verdict === null ? undefined : (
          <Item label="Difference">
            {signed(experiment.verdict.elo)} Elo ({signed(experiment.verdict.low)} to {signed(experiment.verdict.high)})
            for {experiment.arms[0]?.name}, by {counted(experiment.verdict.games, "game")}
          </Item>
        )}
        {experiment.matches.length === 0 ? undefined : (
          <Item label="By seed">
            {experiment.matches
              .map(({ high, low, seed, share }) => `${seed}: ${percent(share)} (${percent(low)} to ${percent(high)})`)
              .join(", ")}
          </Item>
        )}
        <Item label="Cost">
          <Figure digits={2} unit="core-hours" value={experiment.core_hours} />, {experiment.budget} a run
        </Item>
        <Item label="Variant">{experiment.variant}</Item>
        {Object.keys(experiment.common).length === 0 ? undefined : (
          <Item label="Both arms">{settings(experiment.common)}</Item>
        )}
        <Item label="Last change">{clock(experiment.updated_at)}</Item>
      </DataList.Root>
      <Command text={experiment.command} />
    </Stack>
  </Panel>
);

const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

const settings = (values: Record<string, string>) =>
  Object.entries(values)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ") || "as configured";

/** The runs of an arm in its color, those without a rating left out. */
const curves = ({ arms, runs }: Experiment): Series[] =>
  runs.map((run) => ({
    color: run.arm,
    name: arms[run.arm]?.name ?? String(run.arm),
    points: run.points.flatMap(({ core_hours, elo, interval }) =>
      elo === null || interval === null ? [] : [{ at: core_hours, elo, interval }],
    ),
  }));

function reached({ runs }: Experiment, arm: number) {
  const own = runs.filter((run) => run.arm === arm);
  return { games: own.reduce((sum, run) => sum + run.games, 0), runs: own.length, done: own.filter((run) => run.finished).length };
}

type Arm = Experiment["arms"][number] & ReturnType<typeof reached>;

const ARMS: Column<Arm>[] = [
  { cell: (row) => row.name, key: "arm", label: "Arm" },
  { cell: (row) => settings(row.settings), key: "settings", label: "Settings" },
  { cell: (row) => `${row.done} of ${row.runs}`, key: "runs", label: "Runs done", numeric: true },
  { cell: (row) => whole(row.games), key: "games", label: "Games", numeric: true },
  {
    cell: (row) => <Figure digits={2} unit="core-hours" value={row.core_hours} />,
    key: "cost",
    label: "Cost",
    numeric: true,
  },
];

const Item = ({ children, label }: { children: ReactNode; label: string }) => (
  <DataList.Item alignItems="start">
    <DataList.ItemLabel minWidth="6rem">{label}</DataList.ItemLabel>
    <DataList.ItemValue display="block" minWidth={0} overflowWrap="anywhere">
      {children}
    </DataList.ItemValue>
  </DataList.Item>
);
