import { Box, Text } from "@chakra-ui/react";

import type { Schema } from "src/api/client";
import { Age } from "src/components/Age";
import { type Column, DataTable } from "src/components/DataTable";
import { Figure } from "src/components/Figure";
import { StateBadge } from "src/components/StateBadge";

type Machine = Schema<"SteeredMachine">;

/** What each machine does, what was decided about its workers, and why. */
export const MachineTable = ({ machines, now }: { machines: Machine[]; now: number }) => (
  <DataTable
    columns={columns(now)}
    empty="No machine has told its utilization, and nothing was decided about one."
    label="Machines"
    rowKey={(row) => row.machine}
    rows={machines}
    stacked
  />
);

export const percent = (value: number | null) => <Figure unit={value === null ? undefined : "%"} value={value} />;

const columns = (now: number): Column<Machine>[] => [
  {
    cell: (row) => row.hosts.join(", ") || row.machine,
    key: "machine",
    label: "Machine",
    sortBy: (row) => row.hosts.join(", ") || row.machine,
  },
  { cell: (row) => percent(row.cpu), key: "cpu", label: "CPU", numeric: true, sortBy: (row) => row.cpu },
  {
    cell: (row) => percent(row.workers),
    key: "workers",
    label: "Workers",
    numeric: true,
    title: "Of the machine's CPU, by self-play workers",
    wide: true,
  },
  {
    cell: (row) => percent(row.strangers),
    key: "strangers",
    label: "Others",
    numeric: true,
    title: "Of the machine's CPU, by programs that are not the loop's",
    wide: true,
  },
  { cell: (row) => percent(row.memory), key: "memory", label: "Memory", numeric: true, wide: true },
  { cell: (row) => percent(row.gpu), key: "gpu", label: "GPU", numeric: true, wide: true },
  {
    cell: (row) => percent(row.duty === null ? null : 100 * row.duty),
    key: "duty",
    label: "Workers compute",
    numeric: true,
    sortBy: (row) => row.duty,
    title: "The share of its time in which each worker may compute from now on; it rests for the other",
  },
  {
    cell: (row) =>
      row.action === null ? (
        "–"
      ) : (
        <Box>
          <StateBadge size="xs" state={row.action} /> <Text as="span">{row.why}</Text>{" "}
          <Text as="span" color="fg.muted">
            <Age at={row.decided_at} now={now} />
          </Text>
        </Box>
      ),
    key: "why",
    label: "Decision",
  },
];
