# The guests' program. Position-independent; see guest_program.rs for the
# protocol. Throughout: R15 = data page, R14 = role, R13 = rounds left.

.section .rodata.guest_program, "a"
.balign 16
.globl guest_program_start
.globl guest_program_end

.set PASSED, {passed}
.set FAILED, {failed}
.set FIRST_FAILED, {first_failed}
.set FOUND, {found}
.set EXPECTED, {expected}
.set WIDE_FAULTS, {wide_faults}
.set WIDE_VALUE, {wide_value}
.set GP_ARMED, 0x40            # 1: the next #GP is provoked
.set GP_SEEN, 0x48
.set S_CET_NOW, 0x50           # a legal value, for the WRMSR that is tried again
.set CP_RIGHT, 0x58            # where the corrupted return should have gone
.set CP_SEEN, 0x60
.set PL0, 0x68                 # what the registers shall hold
.set PL1, 0x70
.set PL2, 0x78

.set TOKEN, {token}
.set AREA_IN, {xsave_areas}    # XRSTORS loads from here
.set AREA_OUT, {xsave_areas} + 1024
.set XSTATE_BV, 512
.set XCOMP_BV, 520
.set COMPONENT, 576
.set CET_S, 1 << 12

.set IA32_S_CET, 0x6A2
.set IA32_PL0_SSP, 0x6A4
.set IA32_PL1_SSP, 0x6A5
.set IA32_PL2_SSP, 0x6A6
.set IA32_INTERRUPT_SSP_TABLE_ADDR, 0x6A8
.set IA32_XSS, 0xDA0

guest_program_start:

# One stub of 16 bytes per vector.
.set vector, 0
.rept 32
    .balign 16
    .if vector == 13
        jmp general_protection
    .elseif vector == 21
        jmp control_protection
    .else
        push vector
        jmp unexpected
    .endif
    .set vector, vector + 1
.endr

.balign 16
entry:
    mov r14, rdi
    mov r13, rsi
    mov r15d, {base_data}
    cmp r14, 4
    je hang
    cmp r14, 5
    je wide_address_round

    mov r8d, 1
    mov ecx, IA32_PL0_SSP
    call expect_zero_msr
    mov ecx, IA32_PL1_SSP
    call expect_zero_msr
    mov ecx, IA32_PL2_SSP
    call expect_zero_msr
    cmp r14, 3
    je unused_round

    call try_illegal_values

    # The token goes into the read-only page while CR0.WP is 0; then WP, CET.
    mov eax, TOKEN
    mov [rax], rax
    mov rax, cr0
    or rax, 1 << 16
    mov cr0, rax
    mov rax, cr4
    or rax, 1 << 23
    mov cr4, rax

    # Values that no other guest has: the role is in the upper half.
    mov eax, TOKEN
    mov [r15 + PL0], rax
    mov rax, r14
    shl rax, 36
    or rax, 0x11000
    mov [r15 + PL1], rax
    mov rax, r14
    shl rax, 40
    or rax, 0x22004
    mov [r15 + PL2], rax

    cmp r14, 2
    jne 1f
    mov ecx, IA32_XSS
    mov eax, CET_S
    xor edx, edx
    wrmsr
1:
    call write_registers
    mov ecx, IA32_S_CET
    mov eax, 1                 # SH_STK_EN
    xor edx, edx
    wrmsr
    setssbsy

    # No call is pending here: the shadow stack starts empty.
    xor eax, eax
    rdsspq rax
    mov ecx, TOKEN
    mov r8d, 4
    call expect_equal
    mov ecx, TOKEN
    mov rax, [rcx]
    or rcx, 1
    mov r8d, 5
    call expect_equal

shadow_stack_round:
    xor eax, eax
    rdsspq rax
    mov ecx, TOKEN
    mov r8d, 6
    call expect_equal

    mov ecx, IA32_PL0_SSP
    call read_msr
    mov rcx, [r15 + PL0]
    mov r8d, 7
    call expect_equal
    mov ecx, IA32_PL1_SSP
    call read_msr
    mov rcx, [r15 + PL1]
    mov r8d, 8
    call expect_equal
    mov ecx, IA32_PL2_SSP
    call read_msr
    mov rcx, [r15 + PL2]
    mov r8d, 9
    call expect_equal

    cmp r14, 2
    jne 1f
    call check_xsaves
1:
    call check_call_and_return
    call check_corrupted_return
    call try_illegal_values

    # New values, so that old ones would be noticed.
    add qword ptr [r15 + PL1], 8
    xor qword ptr [r15 + PL2], 0x5550
    call write_registers

    xor eax, eax
    vmcall                     # yield
    dec r13
    jnz shadow_stack_round
    jmp done

unused_round:
    mov ecx, IA32_PL0_SSP
    mov r8d, 7
    call expect_zero_msr
    mov ecx, IA32_PL1_SSP
    mov r8d, 8
    call expect_zero_msr
    mov ecx, IA32_PL2_SSP
    mov r8d, 9
    call expect_zero_msr
    mov ecx, IA32_S_CET
    mov r8d, 13
    call expect_zero_msr
    xor eax, eax
    vmcall                     # yield
    dec r13
    jnz unused_round

done:
    mov eax, 1
    vmcall
    jmp done

hang:
    jmp hang

# An address that needs more than 48 bits: whether it faults, and what is there then.
wide_address_round:
    mov qword ptr [r15 + GP_SEEN], 0
    mov qword ptr [r15 + GP_ARMED], 1
    mov ecx, IA32_PL0_SSP
    mov rax, {wide_address}
    mov rdx, rax
    shr rdx, 32
    wrmsr
    mov qword ptr [r15 + GP_ARMED], 0
    mov rax, [r15 + GP_SEEN]
    mov [r15 + WIDE_FAULTS], rax
    mov ecx, IA32_PL0_SSP
    call read_msr
    mov [r15 + WIDE_VALUE], rax
    xor eax, eax
    vmcall                     # yield
    dec r13
    jnz wide_address_round
    jmp done

# RAX = the MSR in ECX.
read_msr:
    rdmsr
    shl rdx, 32
    or rax, rdx
    ret

# The MSR in ECX reads zero; R8 is the check's number.
expect_zero_msr:
    call read_msr
    xor ecx, ecx
    # falls through

# RAX, what was found, equals RCX; R8 is the check's number.
expect_equal:
    cmp rax, rcx
    jne 1f
    inc qword ptr [r15 + PASSED]
    ret
1:
    inc qword ptr [r15 + FAILED]
    cmp qword ptr [r15 + FIRST_FAILED], 0
    jne 2f
    mov [r15 + FIRST_FAILED], r8
    mov [r15 + FOUND], rax
    mov [r15 + EXPECTED], rcx
2:
    ret

# Puts the values at PL0, PL1 and PL2 into the registers, as the role does it.
write_registers:
    cmp r14, 2
    je 1f
    mov ecx, IA32_PL0_SSP
    mov eax, [r15 + PL0]
    mov edx, [r15 + PL0 + 4]
    wrmsr
    mov ecx, IA32_PL1_SSP
    mov eax, [r15 + PL1]
    mov edx, [r15 + PL1 + 4]
    wrmsr
    mov ecx, IA32_PL2_SSP
    mov eax, [r15 + PL2]
    mov edx, [r15 + PL2 + 4]
    wrmsr
    ret
1:
    mov ecx, AREA_IN
    mov qword ptr [rcx + XSTATE_BV], CET_S
    mov rax, (1 << 63) | CET_S
    mov [rcx + XCOMP_BV], rax
    mov rax, [r15 + PL0]
    mov [rcx + COMPONENT], rax
    mov rax, [r15 + PL1]
    mov [rcx + COMPONENT + 8], rax
    mov rax, [r15 + PL2]
    mov [rcx + COMPONENT + 16], rax
    mov eax, CET_S
    xor edx, edx
    xrstors64 [rcx]
    ret

# XSAVES stores what the registers shall hold.
check_xsaves:
    mov ebx, AREA_OUT
    mov eax, CET_S
    xor edx, edx
    xsaves64 [rbx]
    mov r8d, 10
    mov rax, [rbx + COMPONENT]
    mov rcx, [r15 + PL0]
    call expect_equal
    mov rax, [rbx + COMPONENT + 8]
    mov rcx, [r15 + PL1]
    call expect_equal
    mov rax, [rbx + COMPONENT + 16]
    mov rcx, [r15 + PL2]
    call expect_equal
    ret

# Two nested calls, which the shadow stack checks, leave SSP as it was.
check_call_and_return:
    rdsspq rbx
    call 1f
    rdsspq rax
    mov rcx, rbx
    mov r8d, 11
    call expect_equal
    ret
1:
    call 2f
    ret
2:
    ret

# A return whose address was corrupted faults and is repaired, once.
check_corrupted_return:
    lea rax, [rip + 1f]
    mov [r15 + CP_RIGHT], rax
    mov qword ptr [r15 + CP_SEEN], 0
    call 2f
1:
    mov rax, [r15 + CP_SEEN]
    mov ecx, 1
    mov r8d, 12
    call expect_equal
    ret
2:
    lea rax, [rip + 3f]
    mov [rsp], rax
    ret
3:
    # The CPU took the corrupted address. Say so and go where we should be.
    mov qword ptr [r15 + CP_SEEN], 99
    jmp qword ptr [r15 + CP_RIGHT]

# #CP: put the right address where RET will look for it, and let RET try again.
control_protection:
    cmp qword ptr [rsp], 1     # error code 1: near RET
    jne unexpected_control_protection
    mov rcx, [rsp + 32]        # RSP of the RET
    mov rax, [r15 + CP_RIGHT]
    mov [rcx], rax
    inc qword ptr [r15 + CP_SEEN]
    add rsp, 8
    iretq
unexpected_control_protection:
    push 21
    jmp unexpected

# Each row of the table: the WRMSR raises #GP(0) and changes nothing. The handler
# must not move the return address under a shadow stack, so it turns the WRMSR
# into a harmless one of IA32_S_CET, which is then tried again.
try_illegal_values:
    lea rsi, [rip + illegal_table]
    mov edi, {illegal_values}
1:
    mov ecx, IA32_S_CET
    call read_msr
    mov [r15 + S_CET_NOW], rax
    mov ecx, [rsi]
    call read_msr
    mov rbx, rax               # the value before
    mov qword ptr [r15 + GP_SEEN], 0
    mov qword ptr [r15 + GP_ARMED], 1
    mov ecx, [rsi]
    mov eax, [rsi + 8]
    mov edx, [rsi + 12]
    wrmsr
    mov qword ptr [r15 + GP_ARMED], 0
    mov rax, [r15 + GP_SEEN]
    mov ecx, 1
    mov r8d, 2
    call expect_equal
    mov ecx, [rsi]
    call read_msr
    mov rcx, rbx
    mov r8d, 3
    call expect_equal
    add rsi, 16
    dec edi
    jnz 1b
    ret

general_protection:
    cmp qword ptr [r15 + GP_ARMED], 1
    jne unexpected_general_protection
    cmp qword ptr [rsp], 0     # error code
    jne unexpected_general_protection
    mov qword ptr [r15 + GP_ARMED], 0
    inc qword ptr [r15 + GP_SEEN]
    mov ecx, IA32_S_CET
    mov eax, [r15 + S_CET_NOW]
    mov edx, [r15 + S_CET_NOW + 4]
    add rsp, 8
    iretq
unexpected_general_protection:
    push 13
    # falls through

unexpected:
    pop rbx
    mov rcx, [rsp]
    mov rdx, [rsp + 8]
    mov eax, 2
    vmcall
    jmp unexpected

.balign 8
illegal_table:
    .quad IA32_PL0_SSP, 0x8001                            # misaligned
    .quad IA32_PL1_SSP, 0x8002
    .quad IA32_PL2_SSP, 0x8003
    .quad IA32_PL0_SSP, 0x4000000000000000                # not canonical
    .quad IA32_PL2_SSP, 0x4000000000000000
    .quad IA32_S_CET, 1 << 6                              # reserved bit
    .quad IA32_S_CET, 3 << 10                             # SUPPRESS and TRACKER
    .quad IA32_INTERRUPT_SSP_TABLE_ADDR, 0x4000000000000000
guest_program_end:
.text
