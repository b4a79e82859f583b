/** Neuralake in JupyterLab: one sidebar, one command. Everything it shows comes from the shared module. */
import { ILayoutRestorer } from "@jupyterlab/application";
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { LabIcon } from "@jupyterlab/ui-components";

import { Api } from "./api.ts";
import ICON from "./icon.svg";
import { Sidebar } from "./sidebar.ts";

const plugin: JupyterFrontEndPlugin<void> = {
  id: "neuralake-lab:monitor",
  description: "Stack and ingest monitor in the left sidebar.",
  autoStart: true,
  optional: [ILayoutRestorer],
  activate(app: JupyterFrontEnd, restorer: ILayoutRestorer | null): void {
    const sidebar = new Sidebar(new Api(app.serviceManager.serverSettings));
    sidebar.id = "neuralake-sidebar";
    sidebar.title.icon = new LabIcon({ name: "neuralake:monitor", svgstr: ICON });
    sidebar.title.caption = "Neuralake";
    sidebar.node.setAttribute("role", "region");
    sidebar.node.setAttribute("aria-label", "Neuralake");
    app.shell.add(sidebar, "left", { rank: 600, type: "Neuralake" });
    restorer?.add(sidebar, sidebar.id);
    app.commands.addCommand("neuralake:show-monitor", {
      label: "Show Neuralake Monitor",
      execute: () => {
        app.shell.activateById(sidebar.id);
      },
    });
  },
};

export default plugin;
