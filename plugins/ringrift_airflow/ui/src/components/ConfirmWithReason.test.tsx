import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";

import { Failure } from "src/api/client";
import { ConfirmWithReason } from "src/components/ConfirmWithReason";
import { show } from "src/test/show";

const opened = async (onConfirm: (why: string) => Promise<unknown>) => {
  const shown = show(
    <ConfirmWithReason action="Halt" onConfirm={onConfirm}>
      Nothing starts any more.
    </ConfirmWithReason>,
  );
  await userEvent.click(shown.getByRole("button", { name: "Halt" }));
  const dialog = await shown.findByRole("alertdialog");
  return { ...shown, dialog, confirm: () => shown.getAllByRole("button", { name: "Halt" }).at(-1)! };
};

test("it does nothing without a reason, and hands the reason on", async () => {
  const done = vi.fn((_why: string) => Promise.resolve());
  const { confirm, getByRole, queryByRole } = await opened(done);
  expect(confirm()).toBeDisabled();
  await userEvent.type(getByRole("textbox"), "   ");
  expect(confirm()).toBeDisabled();
  await userEvent.type(getByRole("textbox"), "new kernel ");
  await userEvent.click(confirm());
  expect(done).toHaveBeenCalledExactlyOnceWith("new kernel");
  await vi.waitFor(() => expect(queryByRole("alertdialog")).not.toBeInTheDocument());
});

test("what went wrong is said and the reason is kept", async () => {
  const { confirm, dialog, findByText, getByRole } = await opened(() =>
    Promise.reject(new Failure(403, "You may not.")),
  );
  await userEvent.type(getByRole("textbox"), "because");
  await userEvent.click(confirm());
  expect(await findByText("You may not.")).toBeInTheDocument();
  expect(dialog).toHaveTextContent("Your account lacks the right");
  expect(getByRole("textbox")).toHaveValue("because");
});

test("cancelling does nothing", async () => {
  const done = vi.fn((_why: string) => Promise.resolve());
  const { getByRole } = await opened(done);
  await userEvent.type(getByRole("textbox"), "because");
  await userEvent.click(getByRole("button", { name: "Cancel" }));
  expect(done).not.toHaveBeenCalled();
});
