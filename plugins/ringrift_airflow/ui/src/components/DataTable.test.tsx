import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";

import { type Column, DataTable } from "src/components/DataTable";
import { show } from "src/test/show";

interface Model {
  name: string;
  elo: number | null;
}
const COLUMNS: Column<Model>[] = [
  { cell: ({ name }) => name, key: "name", label: "Model", sortBy: ({ name }) => name },
  { cell: ({ elo }) => elo, key: "elo", label: "Elo", numeric: true, sortBy: ({ elo }) => elo },
];
const MODELS: Model[] = [
  { elo: 9, name: "b" },
  { elo: null, name: "c" },
  { elo: 100, name: "a" },
];
const table = (rows: Model[]) =>
  show(<DataTable columns={COLUMNS} empty="No model yet" label="Models" rowKey={({ name }) => name} rows={rows} />);

test("the keyboard sorts it, by number, what is not known last both times", async () => {
  const { getAllByRole, getByRole } = table(MODELS);
  const names = () => getAllByRole("row").slice(1).map((row) => row.firstChild?.textContent);
  expect(names()).toEqual(["b", "c", "a"]);
  getByRole("button", { name: "Elo" }).focus();
  await userEvent.keyboard("{Enter}");
  expect(names()).toEqual(["a", "b", "c"]);
  expect(getByRole("columnheader", { name: "Elo" })).toHaveAttribute("aria-sort", "descending");
  await userEvent.keyboard("{Enter}");
  expect(names()).toEqual(["b", "a", "c"]);
});

test("without rows it says so", () => {
  expect(table([]).container).toHaveTextContent("No model yet");
});
