package raw

const sysExecveat = 281
