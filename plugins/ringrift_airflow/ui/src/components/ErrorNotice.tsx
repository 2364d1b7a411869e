import { Alert } from "@chakra-ui/react";

import { Failure } from "src/api/client";
import { Prose } from "src/components/Prose";

/** What went wrong and what a person can do about it. */
export const ErrorNotice = ({ error, remedy }: { error: Error | null; remedy?: string }) =>
  error === null ? undefined : (
    <Alert.Root mb={4} size="sm" status="error">
      <Alert.Indicator />
      <Alert.Content>
        <Alert.Title>{error.message}</Alert.Title>
        <Alert.Description>
          <Prose text={remedy ?? remedyOf(error)} />
        </Alert.Description>
      </Alert.Content>
    </Alert.Root>
  );

export function remedyOf(error: Error): string {
  const status = error instanceof Failure ? error.status : undefined;
  if (status === 0) {
    return "The page asks again by itself. Is `make run` still running?";
  }
  if (status === 401) {
    return "Your login has expired: reload the page.";
  }
  if (status === 403) {
    return "Your account lacks the right; an administrator of Airflow can give it.";
  }
  if (status === 503) {
    return "The page asks again by itself; `ringrift-loop doctor` on the coordinator says more.";
  }
  return "If it happens again: the log of Airflow's API server says more.";
}
