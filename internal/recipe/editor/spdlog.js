// Stands in for @vscode/spdlog, whose C++ takes longer to compile than all the
// rest: a log is one file, which begins anew when it is full.
const fs = require("fs");
const path = require("path");

const names = ["trace", "debug", "info", "warning", "error", "critical"];

class Logger {
	constructor(kind, name, file, most) {
		this.file = file;
		this.most = most;
		this.level = 2;
		this.plain = false;
		this.size = fs.existsSync(file) ? fs.statSync(file).size : 0;
	}
	write(level, message) {
		if (level < this.level) {
			return;
		}
		const line = this.plain ? message : `${new Date().toISOString()} [${names[level]}] ${message}\n`;
		try {
			if (this.size > this.most) {
				fs.truncateSync(this.file);
				this.size = 0;
			}
			fs.appendFileSync(this.file, line);
			this.size += line.length;
		} catch {
			// a full disk must not end the editor
		}
	}
	trace(m) { this.write(0, m); }
	debug(m) { this.write(1, m); }
	info(m) { this.write(2, m); }
	warn(m) { this.write(3, m); }
	error(m) { this.write(4, m); }
	critical(m) { this.write(5, m); }
	getLevel() { return this.level; }
	setLevel(level) { this.level = level; }
	setPattern() {}
	clearFormatters() { this.plain = true; }
	flush() {}
	drop() {}
}

async function createRotatingLogger(name, file, most) {
	fs.mkdirSync(path.dirname(file), { recursive: true });
	return new Logger("rotating", name, file, most);
}

exports.version = "0";
exports.setLevel = () => {};
exports.setFlushOn = () => {};
exports.Logger = Logger;
exports.createRotatingLogger = createRotatingLogger;
exports.createAsyncRotatingLogger = createRotatingLogger;
