// Makes a native Node.js tell the architecture of the container: node --require=/.crossdock/node-target.cjs SCRIPT...
//
// All JavaScript but Node's own comes from the container. What is started from here is started as ever: the program that
// `process.execPath` names is the container's, the environment is not changed, and child processes and their options
// know nothing of this file. Worker threads load it as well.
'use strict'

const childProcess = require('child_process')
const Module = require('module')
const os = require('os')
const vm = require('vm')

const [arch, machine] = { x64: ['arm64', 'aarch64'], arm64: ['x64', 'x86_64'] }[process.arch]

function tell(name, value) {
  Object.defineProperty(process, name, { configurable: true, enumerable: true, value })
}

tell('arch', arch)
if (os.machine) {
  os.machine = () => machine
}
process.execPath = process.argv[0] = process.execPath.replace(/^\/\.crossdock\/root\//, '/')
process.execArgv = process.execArgv.filter((word) => word !== `--require=${__filename}`)

// How it was built, the container's own says best; it is asked when somebody wants to know.
let built
const config = {}
for (const name of Object.keys(process.config)) {
  Object.defineProperty(config, name, {
    configurable: true,
    enumerable: true,
    get() {
      built = built || JSON.parse(childProcess.execFileSync(process.execPath, ['-p', 'JSON.stringify(process.config)']))
      return built[name]
    }
  })
}
tell('config', config)

if (process.report) {
  const { getReport } = process.report
  process.report.getReport = (...given) => {
    const report = getReport.apply(process.report, given)
    Object.assign(report.header, { arch, osMachine: machine })
    return report
  }
}

// Compiled code must not be kept for the container's Node.js, nor its be taken here.
vm.Script = class Script extends vm.Script {
  constructor(code, options) {
    const known = typeof options === 'object' ? options : { filename: options }
    super(code, { ...known, cachedData: undefined, produceCachedData: undefined })
  }
}
if (Module.enableCompileCache) {
  Module.enableCompileCache = () => ({ status: Module.constants.compileCacheStatus.DISABLED })
}
if (Module.syncBuiltinESMExports) {
  Module.syncBuiltinESMExports()
}
