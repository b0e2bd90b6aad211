package raw

const sysExecveat = 322
