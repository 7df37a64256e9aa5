// What the Python and Jupyter extensions do, as far as a test needs it: those
// come from a marketplace that tests do not reach. It has cells run by the
// kernel that the notebook names, of the Python that the settings name.
const { spawn } = require("child_process");
const { createInterface } = require("readline");
const { notebooks, workspace, NotebookCellOutput, NotebookCellOutputItem, NotebookControllerAffinity } = require("vscode");

exports.activate = context => {
	const python = workspace.getConfiguration("python").get("defaultInterpreterPath");
	const controller = notebooks.createNotebookController("box", "jupyter-notebook", "The Python of the settings");
	const prefer = notebook => controller.updateNotebookAffinity(notebook, NotebookControllerAffinity.Preferred);
	let kernel, printed;
	controller.executeHandler = async (cells, notebook) => {
		if (!kernel) {
			const { name } = notebook.metadata.metadata.kernelspec;
			kernel = spawn(python, [context.asAbsolutePath("kernel.py"), name], { stdio: ["pipe", "pipe", "inherit"] });
			printed = createInterface({ input: kernel.stdout })[Symbol.asyncIterator]();
		}
		for (const cell of cells) {
			const run = controller.createNotebookCellExecution(cell);
			run.start(Date.now());
			kernel.stdin.write(JSON.stringify(cell.document.getText()) + "\n");
			const { value } = await printed.next();
			await run.replaceOutput(new NotebookCellOutput([NotebookCellOutputItem.text(JSON.parse(value))]));
			run.end(true, Date.now());
		}
		await notebook.save();
	};
	workspace.notebookDocuments.forEach(prefer);
	context.subscriptions.push(controller, workspace.onDidOpenNotebookDocument(prefer), { dispose: () => kernel?.kill() });
};
