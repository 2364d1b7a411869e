import { Box, Button, Flex, Heading, SimpleGrid, Skeleton, Stack, Table, Text } from "@chakra-ui/react";

import { type Schema, api, useLive } from "src/api/client";
import { Age } from "src/components/Age";
import { type Column, DataTable } from "src/components/DataTable";
import { ErrorNotice } from "src/components/ErrorNotice";
import { Panel } from "src/components/Panel";
import { Prose } from "src/components/Prose";
import { StateBadge } from "src/components/StateBadge";
import { counted, span, whole } from "src/components/time";
import { useAddress } from "src/components/useAddress";
import { JobLog } from "src/pages/Hosts/JobLog";
import { MachineCard } from "src/pages/Hosts/MachineCard";

type Host = Schema<"HostLine">;
type Job = Schema<"JobLine">;

/** The machines and what they do. */
export const Hosts = () => {
  const { data, error } = useLive(["hosts"], () => api.GET("/api/hosts"), 4000);
  return (
    <Stack gap={4} maxWidth="100rem">
      <ErrorNotice error={error} />
      {data === undefined ? error === null && <Skeleton height="24rem" /> : <Content view={data} />}
    </Stack>
  );
};

const Content = ({ view }: { view: Schema<"HostsView"> }) => {
  const load = useLive(["hosts load"], () => api.GET("/api/hosts/load"), 30_000);
  // What is open stands in the address: a task's page leads to the job that it waits for.
  const [params, change] = useAddress();
  const [host, jobId] = [params.get("host") ?? undefined, params.get("job") ?? undefined];
  const open = (name: "host" | "job") => (what?: string) =>
    change((next) => (what === undefined ? next.delete(name) : next.set(name, what)));
  const job = view.jobs.find(({ id }) => id === jobId);
  return (
    <>
      <Heading as="h1" lineHeight="short" size={{ base: "lg", md: "xl" }}>
        {sentence(view)}
      </Heading>
      <Troubles view={view} />
      {view.machines.length === 0 ? (
        <Text color="fg.muted">No machine has told its load in the last five minutes.</Text>
      ) : (
        <SimpleGrid gap={4} minChildWidth={{ base: "100%", md: "22rem" }}>
          {view.machines.map((machine) => (
            <MachineCard
              key={machine.id}
              load={load.data?.find((each) => each.machine === machine.id)}
              machine={machine}
              now={view.at}
            />
          ))}
        </SimpleGrid>
      )}
      <Panel title="Hosts">
        <DataTable
          columns={hostColumns(view.at, host, open("host"))}
          empty="The inventory names no host."
          label="Hosts"
          rowKey={({ name }) => name}
          rows={view.hosts}
        />
        {host === undefined ? undefined : <Workers host={host} />}
      </Panel>
      <Panel title="Jobs on hosts">
        <DataTable
          columns={jobColumns(view.at, jobId, open("job"))}
          empty="No job runs detached on a host. Trainings and matches of this machine are tasks: their logs are in Airflow."
          label="Jobs on hosts"
          rowKey={({ id }) => id}
          rows={view.jobs}
        />
        {jobId !== undefined && job === undefined && (
          <Text color="fg.muted" mt={4} role="status">
            No job {jobId.slice(0, 24)} is among those of late: what it was for ran on this machine, or it is long over.
          </Text>
        )}
        {job === undefined ? undefined : (
          <Box mt={4}>
            <JobLog job={job} key={job.id} now={view.at} />
          </Box>
        )}
      </Panel>
    </>
  );
};

function sentence({ games_per_hour, hosts, runs }: Schema<"HostsView">): string {
  const enabled = hosts.filter(({ status }) => status !== "disabled");
  const online = enabled.filter(({ status }) => status === "online").length;
  const all = online === enabled.length && online > 0;
  const answer =
    enabled.length === 1
      ? `The host ${all ? "answers" : "does not answer"}`
      : `${all ? "All" : `${online} of`} ${enabled.length} hosts answer`;
  const rate = runs ? `; ${counted(games_per_hour, "game")} an hour.` : "; the loop does not run.";
  return `${answer}${rate}`;
}

/** Each host that needs a person, with what it last said and what to type. */
const Troubles = ({ view }: { view: Schema<"HostsView"> }) => {
  const hosts = view.hosts.filter(
    ({ error, late, status, worker_errors }) =>
      status !== "disabled" && (error !== null || late || worker_errors.length > 0 || status === "new"),
  );
  const jobs = view.jobs.filter(({ remedy, state }) => remedy !== null && (state === "unreachable" || state === "failed"));
  if (hosts.length + jobs.length === 0) {
    return undefined;
  }
  return (
    <Panel title="What is wrong">
      <Stack as="ul" gap={3} listStyleType="none">
        {hosts.map((host) => (
          <Box as="li" key={host.name}>
            <Flex align="center" gap={2} wrap="wrap">
              <Text fontWeight="semibold">{host.name}</Text>
              <StateBadge size="xs" state={host.late && host.status === "online" ? "late" : host.status} />
              {host.failures > 0 ? (
                <Text color="fg.muted" fontSize="sm">
                  {host.failures} failures in a row, {next(host, view.at)}
                </Text>
              ) : undefined}
            </Flex>
            <Text fontSize="sm" overflowWrap="anywhere">
              {told(host)}
            </Text>
            <Remedy text={host.remedy} />
          </Box>
        ))}
        {jobs.map((job) => (
          <Box as="li" key={job.id}>
            <Flex align="center" gap={2} wrap="wrap">
              <Text fontWeight="semibold">{job.id}</Text>
              <StateBadge size="xs" state={job.state} />
              <Text color="fg.muted" fontSize="sm">
                on {job.host}
              </Text>
            </Flex>
            <Text fontSize="sm" overflowWrap="anywhere">
              {job.error ?? "Its host does not answer."}
            </Text>
            <Remedy text={job.remedy} />
          </Box>
        ))}
      </Stack>
    </Panel>
  );
};

const Remedy = ({ text }: { text: string | null }) =>
  text === null ? undefined : (
    <Text color="fg.muted" fontSize="sm" overflowWrap="anywhere">
      <Prose text={text.replace(/ringrift-loop( (?!to\b)[\w-]+)+/g, "`$&`")} />
    </Text>
  );

function told(host: Host): string {
  if (host.error !== null) {
    return host.error;
  }
  if (host.status === "new") {
    return "It was not contacted yet.";
  }
  if (host.late) {
    return `${whole(host.unsynced ?? 0)} segments wait there, the oldest for ${span(host.lag_s ?? 0)}.`;
  }
  return host.worker_errors.join(" ");
}

const next = ({ next_attempt_at }: Host, now: number) =>
  next_attempt_at > now ? `asked again in ${span(next_attempt_at - now)}` : "asked again in the next cycle";

const hostColumns = (now: number, open: string | undefined, onOpen: (name?: string) => void): Column<Host>[] => [
  {
    cell: ({ address, name }) => (
      <>
        <Text fontWeight="semibold">{name}</Text>
        <Text color="fg.muted" fontSize="xs">
          {address}
        </Text>
      </>
    ),
    key: "name",
    label: "Host",
    sortBy: ({ name }) => name,
  },
  {
    cell: ({ status }) => <StateBadge size="xs" state={status} />,
    key: "status",
    label: "State",
    sortBy: ({ status }) => status,
  },
  { cell: ({ roles }) => roles.join(", "), key: "roles", label: "Roles", wide: true },
  {
    cell: ({ last_seen_at }) => <Age at={last_seen_at} now={now} />,
    key: "seen",
    label: "Last contact",
    sortBy: ({ last_seen_at }) => last_seen_at,
    wide: true,
  },
  {
    cell: ({ name, workers_assigned, workers_playing }) =>
      workers_assigned === 0 ? (
        "–"
      ) : (
        <Button
          aria-expanded={open === name}
          aria-label={`Workers of ${name}: ${workers_playing} of ${workers_assigned} play`}
          onClick={() => onOpen(open === name ? undefined : name)}
          size="xs"
          variant={open === name ? "subtle" : "outline"}
        >
          {workers_playing} of {workers_assigned}
        </Button>
      ),
    key: "workers",
    label: "Workers",
    sortBy: ({ workers_playing }) => workers_playing,
  },
  {
    cell: ({ played }) => <Generations played={played} />,
    key: "generation",
    label: "Generations",
    wide: true,
  },
  {
    cell: ({ games_per_hour }) => whole(games_per_hour),
    key: "rate",
    label: "Games/h",
    numeric: true,
    sortBy: ({ games_per_hour }) => games_per_hour,
  },
  {
    cell: ({ lag_s, late }) =>
      lag_s === null ? "–" : <Text color={late ? "red.fg" : undefined}>{lag_s === 0 ? "none" : span(lag_s)}</Text>,
    key: "lag",
    label: "Sync lag",
    numeric: true,
    sortBy: ({ lag_s }) => lag_s,
    wide: true,
  },
  {
    cell: ({ waiting_games }) => (waiting_games === null ? "–" : whole(waiting_games)),
    key: "waiting",
    label: "Games waiting",
    numeric: true,
    sortBy: ({ waiting_games }) => waiting_games,
    wide: true,
  },
];

const Generations = ({ played }: { played: Schema<"PlayedLine">[] }) =>
  played.length === 0 ? (
    "–"
  ) : (
    <Stack as="ul" gap={0} listStyleType="none">
      {played.map(({ behind, generation, variant, workers }) => (
        <Text as="li" fontSize="xs" key={`${variant} ${generation} ${String(behind)}`} whiteSpace="nowrap">
          {variant} {generation === 0 ? "borrowed" : `gen ${generation}`} ×{workers}
          {behind ? (
            <Text as="span" color="orange.fg">
              {" "}
              behind
            </Text>
          ) : undefined}
        </Text>
      ))}
    </Stack>
  );

const Workers = ({ host }: { host: string }) => {
  const { data, error } = useLive(
    ["workers", host],
    () => api.GET("/api/hosts/{name}/workers", { params: { path: { name: host } } }),
    5000,
  );
  return (
    <Box aria-label={`Workers of ${host}`} as="section" mt={4}>
      <Heading as="h3" mb={2} size="xs">
        Workers of {host}
      </Heading>
      <ErrorNotice error={error} />
      {data === undefined ? undefined : (
        <Box overflowX="auto" role="region" aria-label={`Table of the workers of ${host}`} tabIndex={0}>
          <Table.Root size="sm">
            <Table.Header>
              <Table.Row>
                {["slot", "state", "plays", "games/h"].map((head) => (
                  <Table.ColumnHeader key={head} scope="col">
                    {head}
                  </Table.ColumnHeader>
                ))}
              </Table.Row>
            </Table.Header>
            <Table.Body>
              {data.map((worker) => (
                <Table.Row key={worker.slot}>
                  <Table.Cell>{worker.slot}</Table.Cell>
                  <Table.Cell>
                    <StateBadge size="xs" state={worker.state} />
                  </Table.Cell>
                  <Table.Cell>
                    {worker.plays.map(({ behind, generation, variant }) => (
                      <Text key={variant}>
                        {variant}, {generation === 0 ? "borrowed" : `generation ${generation}`}
                        {behind ? ", behind" : ""}
                        {variant === worker.variant ? " (now)" : ""}
                      </Text>
                    ))}
                    {worker.error === null ? undefined : (
                      <Text color="red.fg" overflowWrap="anywhere">
                        {worker.error}
                      </Text>
                    )}
                  </Table.Cell>
                  <Table.Cell>
                    {whole(worker.plays.reduce((sum, { games_per_hour }) => sum + games_per_hour, 0))}
                  </Table.Cell>
                </Table.Row>
              ))}
            </Table.Body>
          </Table.Root>
        </Box>
      )}
    </Box>
  );
};

const jobColumns = (now: number, open: string | undefined, onOpen: (id?: string) => void): Column<Job>[] => [
  {
    cell: ({ attempt, id }) => (
      <>
        <Text fontFamily="mono" fontSize="xs" overflowWrap="anywhere">
          {id}
        </Text>
        {attempt > 1 ? (
          <Text color="fg.muted" fontSize="xs">
            attempt {attempt}
          </Text>
        ) : undefined}
      </>
    ),
    key: "id",
    label: "Job",
    sortBy: ({ id }) => id,
  },
  {
    cell: ({ state }) => <StateBadge size="xs" state={state} />,
    key: "state",
    label: "State",
    sortBy: ({ state }) => state,
  },
  { cell: ({ role }) => role, key: "role", label: "Role", wide: true },
  { cell: ({ host }) => host, key: "host", label: "Host", sortBy: ({ host }) => host, wide: true },
  {
    cell: ({ gpus }) => (gpus.length === 0 ? "–" : gpus.join(", ")),
    key: "gpus",
    label: "GPUs",
    wide: true,
  },
  {
    cell: ({ ended_at, placed_at }) =>
      ended_at === null ? `for ${span(now - placed_at)}` : <Age at={ended_at} now={now} />,
    key: "age",
    label: "Time",
    sortBy: ({ placed_at }) => placed_at,
    wide: true,
  },
  {
    cell: ({ id }) => (
      <Button
        aria-expanded={open === id}
        aria-label={`Log of ${id}`}
        onClick={() => onOpen(open === id ? undefined : id)}
        size="xs"
        variant={open === id ? "subtle" : "outline"}
      >
        Log
      </Button>
    ),
    key: "log",
    label: "Log",
  },
];
