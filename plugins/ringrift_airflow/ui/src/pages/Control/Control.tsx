import { Box, Flex, Heading, SimpleGrid, Skeleton, Span, Stack, Text } from "@chakra-ui/react";
import { useQueryClient } from "@tanstack/react-query";

import { type Schema, api, dataOf, useLive } from "src/api/client";
import { Age } from "src/components/Age";
import { ConfirmWithReason } from "src/components/ConfirmWithReason";
import { type Column, DataTable } from "src/components/DataTable";
import { ErrorNotice } from "src/components/ErrorNotice";
import { Figure } from "src/components/Figure";
import { Panel } from "src/components/Panel";
import { Prose } from "src/components/Prose";
import { StateBadge } from "src/components/StateBadge";
import { counted, span, whole } from "src/components/time";
import { MachineTable, percent } from "src/pages/Control/MachineTable";
import { Settings } from "src/pages/Control/Settings";
import { ShareChoice } from "src/pages/Control/ShareChoice";

type State = Schema<"ControlAnswer">;
const KEY = ["control"];

/** What the loop does with its machines and why, and what a person may change. */
export const Control = () => {
  const { data, error } = useLive(KEY, () => api.GET("/api/control"), 5000);
  return (
    <Stack gap={4} maxWidth="90rem">
      <ErrorNotice error={error} />
      {data === undefined ? error === null && <Skeleton height="24rem" /> : <Content state={data} />}
      <Settings />
    </Stack>
  );
};

const Content = ({ state }: { state: State }) => {
  const queries = useQueryClient();
  const locked = state.may_change ? undefined : "Your account may look but not change anything here.";
  const show = (answer: State) => {
    queries.setQueryData(KEY, answer);
    void queries.invalidateQueries({ queryKey: ["overview"] });
  };
  const halt = async (halted: boolean, why: string) =>
    show(await dataOf(api.PUT("/api/control/halt", { body: { halted, why } })));
  const limit = async (share: number, why: string) =>
    show(await dataOf(api.PUT("/api/control/share", { body: { share, why } })));
  return (
    <>
      <Box as="section">
        <Flex align="center" gap={3} mb={1} wrap="wrap">
          <StateBadge size="lg" state={state.halted ? "halted" : state.runs ? "running" : "not running"} />
          <Box flexGrow={1} />
          {state.halted ? (
            <ConfirmWithReason action="Resume" locked={locked} onConfirm={(why) => halt(false, why)}>
              The loop goes on: workers start at the next reconcile, within a minute, and the DAGs start what is due.
            </ConfirmWithReason>
          ) : (
            <ConfirmWithReason action="Halt" locked={locked} onConfirm={(why) => halt(true, why)} palette="red">
              Nothing starts by itself any more, and workers of all hosts are drained within a minute. What is under way
              finishes, its games still come in, and what a person starts by hand runs.
            </ConfirmWithReason>
          )}
        </Flex>
        <Heading as="h1" lineHeight="short" size={{ base: "lg", md: "xl" }}>
          {sentenceOf(state)}
        </Heading>
        {state.pressing.map((reason) => (
          <Text color="fg.muted" key={reason}>
            Held back: {reason}
          </Text>
        ))}
      </Box>
      <SimpleGrid columns={{ base: 1, lg: 2 }} gap={4}>
        <Panel right={<StateBadge size="sm" state={state.utilization.state} />} title="Utilization">
          <Text mb={3}>{state.utilization.why}</Text>
          <SimpleGrid columns={3} gap={3}>
            <Use
              label="CPU"
              note={`target ${whole(state.utilization.cpu_target)} %`}
              value={state.utilization.cpu}
            />
            <Use
              label="GPU"
              note={`target ${whole(state.utilization.gpu_target)} %`}
              value={state.utilization.gpu}
            />
            <Use label="GPU memory" note="where it is fullest" value={state.utilization.gpu_memory} />
          </SimpleGrid>
          <Text color="fg.muted" fontSize="sm" mt={3}>
            {state.utilization.machines === 1
              ? "One machine has told its use in the last minutes."
              : `Means of the ${state.utilization.machines} machines that told their use in the last minutes.`}
          </Text>
        </Panel>
        <Panel title="Self-play">
          <ShareChoice locked={locked} onChoose={limit} share={state.share} slots={state.slots} />
        </Panel>
      </SimpleGrid>
      <Panel title="What would make it faster">
        <Stack as="ul" gap={2} listStyleType="none">
          {state.bottlenecks.map(({ limit, remedy }) => (
            <Box as="li" key={limit} overflowWrap="anywhere">
              <Text>{limit}</Text>
              <Text color="fg.muted" fontSize="sm">
                <Prose text={remedy} />
              </Text>
            </Box>
          ))}
        </Stack>
      </Panel>
      <Panel title="Machines">
        <MachineTable machines={state.machines} now={state.at} />
      </Panel>
      <Panel title="Shares of the variants">
        <DataTable
          columns={WEIGHTS}
          empty="No variant is configured."
          label="Shares of the variants"
          stacked
          rowKey={(row) => row.variant}
          rows={state.weights}
        />
        <Text color="fg.muted" fontSize="sm" mt={3}>
          A share is the product of three factors, of which 1 is an equal share. <b>Curriculum</b>: more where the
          champion wins less against the heuristic than the other variants&apos; champions do, or was promoted longer
          ago. <b>Games</b>: more where the last day brought few games, or the last hour brings them slowly.{" "}
          <b>Pressure</b>: less while its games wait for training.
        </Text>
      </Panel>
      <SimpleGrid columns={{ base: 1, lg: 2 }} gap={4}>
        <Panel title="Rates asked for">
          <DataTable
            columns={negotiationColumns(state.at)}
            empty="Nobody has asked for a rate; workers play as much as their machines allow."
            label="Rates asked for"
            stacked
            rowKey={(row) => String(row.at)}
            rows={state.negotiations}
          />
        </Panel>
        <Panel title="Changed by a person">
          {state.changes.length === 0 ? (
            <Text color="fg.muted">Nothing yet.</Text>
          ) : (
            <Stack as="ol" gap={1.5} listStyleType="none">
              {state.changes.map((change) => (
                <Flex as="li" fontSize="sm" gap={3} key={`${change.at} ${change.what}`}>
                  <Text color="fg.muted" flexShrink={0} minWidth="6.5rem">
                    <Age at={change.at} now={state.at} />
                  </Text>
                  <Text overflowWrap="anywhere">{change.what}</Text>
                </Flex>
              ))}
            </Stack>
          )}
        </Panel>
      </SimpleGrid>
    </>
  );
};

function sentenceOf(state: State): string {
  if (!state.runs) {
    return "The loop does not run; what is set here holds when it starts.";
  }
  if (state.halted) {
    return "Halted: nothing starts by itself until it is resumed.";
  }
  const { approved, played } = state.utilization;
  const slots = state.share < 1 ? ` with ${Math.round(100 * state.share)} % of the self-play slots` : "";
  const held = approved === null ? "" : ` of at most ${whole(approved)} as negotiated`;
  return `Running${slots}, ${counted(played, "game")} an hour${held}.`;
}

const Use = ({ label, note, value }: { label: string; note: string; value: number | null }) => (
  <Box>
    <Text color="fg.muted" fontSize="sm">
      {label}
    </Text>
    <Text fontSize="xl" fontWeight="semibold">
      <Figure unit={value === null ? undefined : "%"} value={value} />
    </Text>
    <Text color="fg.muted" fontSize="xs">
      {value === null ? " " : note}
    </Text>
  </Box>
);

const factor = (value: number) => <Figure digits={2} value={value} />;

const WEIGHTS: Column<State["weights"][number]>[] = [
  { cell: (row) => row.variant, key: "variant", label: "Variant", sortBy: (row) => row.variant },
  {
    cell: (row) => percent(100 * row.share),
    key: "share",
    label: "Share of the time",
    numeric: true,
    sortBy: (row) => row.share,
    title: "Of the time that self-play workers compute",
  },
  {
    cell: (row) => percent(row.win_share === null ? null : 100 * row.win_share),
    key: "win_share",
    label: "Beats the heuristic",
    numeric: true,
    sortBy: (row) => row.win_share,
    title: "Games against the heuristic in which the champion finishes first of the two, by their ratings",
  },
  {
    cell: (row) =>
      row.champion_s === null ? "–" : <Span whiteSpace="nowrap">{span(row.champion_s)} ago</Span>,
    key: "champion_s",
    label: "Promoted",
    numeric: true,
    sortBy: (row) => row.champion_s,
    title: "When the champion was promoted; a return by a rollback does not count",
  },
  {
    cell: (row) => factor(row.curriculum),
    key: "curriculum",
    label: "Curriculum",
    numeric: true,
    title: "Factor by the two columns before, beside the other variants'; it follows them slowly",
    wide: true,
  },
  {
    cell: (row) => factor(row.games),
    key: "games",
    label: "Games",
    numeric: true,
    title: "Factor by the games of the last day and of the last hour",
    wide: true,
  },
  {
    cell: (row) => factor(row.pressure),
    key: "pressure",
    label: "Pressure",
    numeric: true,
    title: "Factor while games wait for training; 1: they do not",
    wide: true,
  },
  { cell: (row) => row.why, key: "why", label: "Why" },
];

const negotiationColumns = (now: number): Column<State["negotiations"][number]>[] => [
  { cell: (row) => <Age at={row.at} now={now} />, key: "at", label: "When" },
  { cell: (row) => row.requestor, key: "requestor", label: "Who", wide: true },
  {
    cell: (row) => (
      <>
        {whole(row.requested)} → {whole(row.approved)}
      </>
    ),
    key: "rate",
    label: "Games an hour",
    numeric: true,
  },
  { cell: (row) => row.answer, key: "answer", label: "Answer" },
];
