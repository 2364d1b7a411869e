/**
 * What Airflow's page loads. It looks for a component under the name of the app, and for one that was not loaded before
 * under `AirflowPlugin`; see `react_apps` in plugin.py.
 */
import { App } from "src/App";

Object.assign(globalThis, { AirflowPlugin: App, RingRift: App });
