import { Box, Code, Input, Switch, Text } from "@chakra-ui/react";

import { type Schema, api, useLive } from "src/api/client";
import { type Column, DataTable } from "src/components/DataTable";
import { ErrorNotice } from "src/components/ErrorNotice";
import { Panel } from "src/components/Panel";
import { useAddress } from "src/components/useAddress";

type Setting = Schema<"Setting">;

/** The configuration in force with the origin of each value; at first what differs from the defaults. */
export const Settings = () => {
  const { data, error } = useLive(["config"], () => api.GET("/api/config"));
  const [parameters, edit] = useAddress();
  const [word, all] = [parameters.get("setting") ?? "", parameters.has("all")];
  const change = (name: string, value: string | undefined) =>
    edit((next) => (value ? next.set(name, value) : next.delete(name)));
  const shown = (data ?? []).filter(
    (setting) =>
      (all || word !== "" || setting.value !== setting.default) &&
      `${setting.name} ${setting.help}`.toLowerCase().includes(word.toLowerCase()),
  );
  return (
    <Panel
      right={
        <Switch.Root checked={all} onCheckedChange={({ checked }) => change("all", checked ? "1" : undefined)} size="sm">
          <Switch.HiddenInput />
          <Switch.Control>
            <Switch.Thumb />
          </Switch.Control>
          <Switch.Label>All {data?.length}</Switch.Label>
        </Switch.Root>
      }
      title="Configuration in force"
    >
      <ErrorNotice error={error} />
      <Input
        aria-label="Search the settings"
        mb={3}
        onChange={(event) => change("setting", event.target.value)}
        placeholder="Search, for example batch"
        size="sm"
        value={word}
      />
      <DataTable
        columns={COLUMNS}
        empty={word === "" ? "Every value is its default." : `No setting has to do with “${word}”.`}
        label="Configuration in force"
        rowKey={(row) => row.name}
        rows={shown}
      />
    </Panel>
  );
};

const COLUMNS: Column<Setting>[] = [
  {
    cell: (row) => (
      <Box>
        <Text fontFamily="mono" fontSize="xs" overflowWrap="anywhere">
          {row.name}
        </Text>
        <Text color="fg.muted" fontSize="xs">
          {row.help}
        </Text>
      </Box>
    ),
    key: "name",
    label: "Setting",
    sortBy: (row) => row.name,
  },
  {
    cell: (row) => (
      <Box>
        <Code overflowWrap="anywhere" whiteSpace="normal">
          {row.value === "" ? '""' : row.value}
        </Code>
        {row.value === row.default ? undefined : (
          <Text color="fg.muted" fontSize="xs" overflowWrap="anywhere">
            default {row.default === "" ? '""' : row.default}
          </Text>
        )}
      </Box>
    ),
    key: "value",
    label: "Value",
  },
  {
    cell: (row) => (
      <Text color="fg.muted" fontSize="xs" overflowWrap="anywhere">
        {row.origin}
      </Text>
    ),
    key: "origin",
    label: "From",
    sortBy: (row) => row.origin,
    wide: true,
  },
];
