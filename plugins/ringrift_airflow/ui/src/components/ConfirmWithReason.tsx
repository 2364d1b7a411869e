import { Button, Dialog, Field, Portal, Text, Textarea } from "@chakra-ui/react";
import { type ReactNode, useState } from "react";

import { ErrorNotice } from "src/components/ErrorNotice";

interface Props {
  /** What the button that opens it says: a verb. */
  action: string;
  /** What will happen, in a sentence or two. */
  children: ReactNode;
  /** Does it; what it throws is shown and the dialog stays open. */
  onConfirm: (why: string) => Promise<unknown>;
  palette?: string;
  disabled?: boolean;
  /** Why this person may not do it; the button then says so instead of asking. */
  locked?: string;
}

/** A button that asks first, and why: the answer goes into the ledger with the name of who gave it. */
export const ConfirmWithReason = ({ action, children, disabled, locked, onConfirm, palette = "brand" }: Props) => {
  const [open, setOpen] = useState(false);
  const [why, setWhy] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const confirm = async () => {
    setBusy(true);
    setError(null);
    try {
      await onConfirm(why.trim());
      setOpen(false);
      setWhy("");
    } catch (failure) {
      setError(failure instanceof Error ? failure : new Error(String(failure)));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog.Root onOpenChange={(change) => setOpen(change.open)} open={open} placement="center" role="alertdialog">
      <Dialog.Trigger asChild>
        <Button
          colorPalette={palette}
          disabled={disabled === true || locked !== undefined}
          size="sm"
          title={locked}
          variant="outline"
        >
          {action}
        </Button>
      </Dialog.Trigger>
      <Portal>
        <Dialog.Backdrop />
        <Dialog.Positioner px={3}>
          <Dialog.Content>
            <Dialog.Header>
              <Dialog.Title>{action}?</Dialog.Title>
            </Dialog.Header>
            <Dialog.Body>
              <ErrorNotice error={error} />
              <Text mb={4}>{children}</Text>
              <Field.Root required>
                <Field.Label>
                  Why <Field.RequiredIndicator />
                </Field.Label>
                <Textarea autoFocus maxLength={500} onChange={(event) => setWhy(event.target.value)} rows={2} value={why} />
                <Field.HelperText>Goes into the history, with your name.</Field.HelperText>
              </Field.Root>
            </Dialog.Body>
            <Dialog.Footer>
              <Dialog.ActionTrigger asChild>
                <Button size="sm" variant="ghost">
                  Cancel
                </Button>
              </Dialog.ActionTrigger>
              <Button
                colorPalette={palette}
                disabled={why.trim() === ""}
                loading={busy}
                onClick={() => void confirm()}
                size="sm"
              >
                {action}
              </Button>
            </Dialog.Footer>
          </Dialog.Content>
        </Dialog.Positioner>
      </Portal>
    </Dialog.Root>
  );
};
