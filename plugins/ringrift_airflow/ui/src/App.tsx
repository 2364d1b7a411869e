/** The whole of it: one component for the page in the navigation and for the tabs of a DAG, a run and a task. */
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";

import { Shell } from "src/Shell";
import { Failure } from "src/api/client";
import { Tab } from "src/tabs/Tab";

/** Outlives the component: Airflow mounts it anew at every change of the path, and a page then shows what it had. */
export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // A wrong question stays wrong; a server that is away is asked again at the next interval in any case.
      retry: (failures, error) => failures < 1 && !(error instanceof Failure && error.status < 500),
      refetchOnWindowFocus: true,
      staleTime: 1000,
    },
  },
});

/** The ids of the tab's object, as Airflow gives them; none on the page of the navigation. */
export interface Ids {
  dagId?: string;
  runId?: string;
  taskId?: string;
  mapIndex?: string;
}

export const App = (ids: Ids) => (
  <QueryClientProvider client={queries}>{ids.dagId === undefined ? <Shell /> : <Tab {...ids} />}</QueryClientProvider>
);
