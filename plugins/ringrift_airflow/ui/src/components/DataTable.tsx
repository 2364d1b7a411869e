import { Box, Button, Table, Text } from "@chakra-ui/react";
import { type ReactNode, useState } from "react";

export interface Column<Row> {
  key: string;
  label: string;
  /** What the figures are, where the label alone does not say it: shown when the pointer rests on the column's head. */
  title?: string;
  cell: (row: Row) => ReactNode;
  /** What the column sorts by; without it the column has no button. Rows without a value come last. */
  sortBy?: (row: Row) => number | string | null | undefined;
  numeric?: boolean;
  /** Not on a phone. */
  wide?: boolean;
}

interface Props<Row> {
  /** What the rows are, for screen readers. */
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string;
  /** What to say when there is no row. */
  empty: ReactNode;
  /** On a phone each row becomes a list of its cells with their labels; for few rows with long texts. */
  stacked?: boolean;
}

interface Order {
  key: string;
  down: boolean;
}

/** A table that sorts by its column heads, each a button that the keyboard reaches. */
export function DataTable<Row>({ columns, empty, label, rowKey, rows, stacked = false }: Props<Row>) {
  const [order, setOrder] = useState<Order>();
  if (rows.length === 0) {
    return (
      <Text color="fg.muted" py={3}>
        {empty}
      </Text>
    );
  }
  const shown = sorted(rows, columns, order);
  return (
    <Box aria-label={label} css={stacked ? STACKED : undefined} overflowX="auto" role="region" tabIndex={0}>
      <Table.Root aria-label={label} size="sm">
        <Table.Header>
          <Table.Row>
            {columns.map((column) => (
              <Table.ColumnHeader
                aria-sort={order?.key === column.key ? (order.down ? "descending" : "ascending") : undefined}
                color="fg.muted"
                display={column.wide ? { base: "none", md: "table-cell" } : undefined}
                fontWeight="medium"
                key={column.key}
                scope="col"
                textAlign={column.numeric ? "end" : "start"}
                title={column.title}
              >
                {column.sortBy === undefined ? (
                  column.label
                ) : (
                  <Button
                    _hover={{ textDecoration: "underline" }}
                    color={order?.key === column.key ? "fg" : "inherit"}
                    font="inherit"
                    gap={1}
                    height="auto"
                    minWidth={0}
                    onClick={() => setOrder(next(order, column))}
                    px={0}
                    variant="plain"
                  >
                    {column.label}
                    {order?.key === column.key ? <span aria-hidden>{order.down ? "↓" : "↑"}</span> : undefined}
                  </Button>
                )}
              </Table.ColumnHeader>
            ))}
          </Table.Row>
        </Table.Header>
        <Table.Body>
          {shown.map((row) => (
            <Table.Row key={rowKey(row)}>
              {columns.map((column) => (
                <Table.Cell
                  data-label={column.label}
                  display={column.wide ? { base: "none", md: "table-cell" } : undefined}
                  fontVariantNumeric="tabular-nums"
                  key={column.key}
                  textAlign={column.numeric ? "end" : "start"}
                >
                  {column.cell(row)}
                </Table.Cell>
              ))}
            </Table.Row>
          ))}
        </Table.Body>
      </Table.Root>
    </Box>
  );
}

const STACKED = {
  "@media (max-width: 48em)": {
    "& thead": { display: "none" },
    "& tr": { display: "block", paddingBlock: "0.4rem" },
    "& td": { border: 0, display: "block", paddingBlock: "0.1rem", paddingInline: 0, textAlign: "start" },
    "& tr:not(:last-child)": { borderBottomWidth: "1px" },
    "& td::before": {
      color: "fg.muted",
      content: "attr(data-label)",
      display: "inline-block",
      minWidth: "8rem",
      paddingInlineEnd: "0.5rem",
    },
  },
};

/** The largest first for numbers, the first letter first for words; a second press turns it round. */
function next<Row>(order: Order | undefined, column: Column<Row>): Order {
  return order?.key === column.key ? { ...order, down: !order.down } : { key: column.key, down: column.numeric === true };
}

function sorted<Row>(rows: Row[], columns: Column<Row>[], order: Order | undefined): Row[] {
  const by = columns.find((column) => column.key === order?.key)?.sortBy;
  if (by === undefined || order === undefined) {
    return rows;
  }
  return rows.toSorted((left, right) => {
    const [a, b] = [by(left), by(right)];
    if (a === null || a === undefined || b === null || b === undefined) {
      return Number(a === null || a === undefined) - Number(b === null || b === undefined);
    }
    const way = order.down ? -1 : 1;
    return way * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  });
}
