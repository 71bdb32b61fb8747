# SPDX-License-Identifier: Apache-2.0
*** Comments ***
Written as a suite for Renode is: only the Settings block belongs to this project. Its variables:
ENGINE (embedded or renode), SHELL (the ELF of shell.c), FIRMWARE (the lab's firmware).
In Renode's own environment the block is "Resource ${RENODEKEYWORDS}" with the same four setups and teardowns. What
RenodeKeywords does where Renode is odd (groups, default tester, reports) its libdoc says keyword by keyword.


*** Settings ***
Library           RenodeKeywords    engine=${ENGINE}
Suite Setup       Setup
Suite Teardown    Teardown
Test Setup        Reset Emulation
Test Teardown     Test Teardown


*** Variables ***
${BOARD}          ${CURDIR}/../../platforms/board.resc
${REPL}           ${{'${CURDIR}'.replace(' ', '\\ ')}}/../../platforms/offchip-board.repl
${CONSOLE}        sysbus.usart1


*** Keywords ***
Boot Shell
    Execute Command           $bin=@${SHELL}
    Execute Script            ${BOARD}
    Execute Command           runMacro $flashit
    Create Terminal Tester    ${CONSOLE}    timeout=1    defaultPauseEmulation=true
    Start Emulation
    Wait For Prompt On Uart   >${SPACE}


*** Test Cases ***
Firmware Without Provisioning Says So
    Execute Command           $bin=@${FIRMWARE}
    Execute Script            ${BOARD}
    Execute Command           runMacro $flashit
    Create Terminal Tester    ${CONSOLE}    timeout=10
    ${line}=                  Wait For Line On Uart    config: error (\\w+)    treatAsRegex=true
    Should Be Equal           ${line.Groups[0]}    missing
    Should Not Be True        ${line.IsFailingString}
    Should Be True            0 < ${line.Timestamp} < 10000

Board Is Built By Hand
    Execute Command           mach create "by-hand"
    Execute Command           machine LoadPlatformDescription @${REPL}
    Execute Command           sysbus LoadELF @${SHELL}
    Execute Command           cpu VectorTableOffset 0x08000000
    ${id}=                    Create Terminal Tester    ${CONSOLE}    timeout=1    machine=by-hand
    ${line}=                  Wait For Line On Uart    shell ready    testerId=${id}
    Should Be Equal           ${line.Line}    shell ready

Shell Echoes And Answers
    Boot Shell
    Write Line To Uart        hello
    ${line}=                  Wait For Line On Uart    unknown: (\\w+)    treatAsRegex=true
    Should Be Equal           ${line.Groups[0]}    hello
    Wait For Prompt On Uart   >${SPACE}
    Write Line To Uart        silent treatment    waitForEcho=false
    Wait For Line On Uart     silent treatment
    ${line}=                  Wait For Next Line On Uart
    Should Be Equal           ${line.Line}    unknown: silent treatment

Ticks Come In Order
    Boot Shell
    Write Line To Uart        ticks
    ${ticks}=                 Create List    tick 0000    tick 0000    tick 0000
    ${last}=                  Wait For Lines On Uart    ${ticks}
    Write Line To Uart        ticks
    ${first}=                 Wait For Line On Uart    tick ([0-9a-f]{8})    treatAsRegex=true
    ${second}=                Wait For Line On Uart    tick ([0-9a-f]{8})    treatAsRegex=true    matchNextLine=true
    # a line matched as the next one has no groups
    Should Be Equal As Integers    ${{ int($second.Line.split()[1], 16) - int($first.Groups[0], 16) }}    1
    Should Be True            ${last.Timestamp} < ${first.Timestamp} < ${second.Timestamp}
    Wait For Line On Uart     tick    pauseEmulation=false
    Test If Uart Is Idle      0.1
    Log                       ${last.Timestamp} ${first.Timestamp} ${second.Timestamp}

Lines Follow Each Other From The Next One On
    Boot Shell
    Write Line To Uart        ticks
    Wait For Next Line On Uart
    ${ticks}=                 Create List    tick    tick (\\w+)    tick    >
    ${prompt}=                Wait For Lines On Uart    ${ticks}    treatAsRegex=true    includeUnfinishedLine=true
    ...                       matchFromNextLine=true    pauseEmulation=true
    Should Be Equal           ${prompt.Line}    >

Carriage Return Ends A Line
    Execute Command           $bin=@${SHELL}
    Execute Script            ${BOARD}
    Execute Command           runMacro $flashit
    Create Terminal Tester    ${CONSOLE}    timeout=1    endLineOption=TreatCarriageReturnAsEndLine
    ...                       defaultPauseEmulation=true
    ${line}=                  Wait For Line On Uart    ready
    Should Be Equal           ${line.Line}    shell ready
    ${line}=                  Wait For Line On Uart    >    includeUnfinishedLine=true
    Should Be Equal           ${line.Line}    \n>

Colours Are Left Out
    Boot Shell
    Write Line To Uart        late
    ${line}=                  Wait For Line On Uart    late,
    Should Be Equal           ${line.Line}    late, but here

Uart Is Idle At The Prompt
    Boot Shell
    Test If Uart Is Idle      0.5
    Should Not Be On Uart     shell ready    timeout=0.1
    Write Char On Uart        x
    Wait For Prompt On Uart   x
    Send Key To Uart          0x0D
    Wait For Line On Uart     unknown: x

Characters Are Typed Slowly
    Boot Shell
    Write Char Delay          0.01
    ${before}=                Wait For Prompt On Uart    ${EMPTY}
    Write To Uart             slow
    Wait For Prompt On Uart   slow    timeout=0.041
    Execute Command           emulation RunFor "0.01"
    Test If Uart Is Idle      0.05

Binary Answers Are Bytes
    Execute Command           $bin=@${SHELL}
    Execute Script            ${BOARD}
    Execute Command           runMacro $flashit
    Create Terminal Tester    ${CONSOLE}    timeout=1    binaryMode=true
    Wait For Bytes On Uart    3E 20
    Write To Uart             bytes\r
    ${found}=                 Wait For Bytes On Uart    \\xfe(..)\\x01    treatAsRegex=true
    Should Be Equal           ${found.Groups[0]}    ${{ bytes([0xFF, 0x00]) }}
    Wait For Bytes On Uart    3e20    matchStart=true

Unknown Register Is Logged
    Boot Shell
    ${path}=                  Allocate Temporary File
    Log To File               ${path}    flushAfterEveryWrite=true
    Create Log Tester         0.5
    Write Line To Uart        odd
    Wait For Log Entry        usart1    level=Warning    keep=true
    Wait For Log Entry        usart1:    treatAsRegex=true
    Should Not Be In Log      usart1    timeout=0.1
    Clear Log Tester History

Log Is Kept And Saved
    Boot Shell
    ${path}=                  Allocate Temporary File
    Enable Logging To Cache
    Create Log Tester         0.1
    Register Failing Log String      usart1
    Unregister Failing Log String    usart1
    Write Line To Uart        odd
    ${entry}=                 Wait For Log Entry    usart1
    Save Cached Log           ${path}
    ${kept}=                  Evaluate    pathlib.Path($path).read_text()    modules=pathlib
    Should Contain            ${kept}    ${entry}
    Clear Cached Log
    Save Cached Log           ${path}
    ${kept}=                  Evaluate    pathlib.Path($path).read_text()    modules=pathlib
    Should Be Empty           ${kept}

Registers And Memory Are Seen
    Boot Shell
    Execute Command           cpu IsHalted true
    Execute Command           cpu PC 0x08000100
    PC Should Be Equal        0x08000100
    Register Should Be Equal  15    0x08000100
    Execute Command           sysbus WriteDoubleWord 0x20010000 0x12345678
    ${word}=                  Execute Command    sysbus ReadDoubleWord 0x20010000
    Should Be Equal           ${word.strip()}    0x12345678
    Run Keyword And Expect Error    *cpu Nonsense*    Execute Command    cpu Nonsense

Report And Default Tester
    Boot Shell
    ${modem}=                 Create Terminal Tester    sysbus.usart2
    Set Default Tester        0
    Write Line To Uart        reported
    Wait For Line On Uart     unknown: reported
    ${report}=                Get Terminal Tester Report
    Should Contain            ${report}    shell ready
    Should Contain            ${report}    unknown: reported
    Clear Terminal Tester Report
    ${report}=                Get Terminal Tester Report
    Should Not Contain        ${report}    reported
    Test If Uart Is Idle      0.01    testerId=${modem}
    Set Default Tester        ${None}

Failing String Is Taken Back
    Set Default Uart Timeout  1
    Boot Shell
    Register Failing Uart String      ERROR
    Write Line To Uart        fail
    Run Keyword And Expect Error    *Test failing entry*ERROR: as asked*    Wait For Line On Uart    never
    Unregister Failing Uart String    ERROR
    Write Line To Uart        fail
    Wait For Line On Uart     ERROR
